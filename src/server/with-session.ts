import { TenantryError } from '../kernel/errors.ts'
import type { Session } from './port.ts'

/** Runs `work` with a session, explains its error, and closes the session. */
export async function withSession<T>(connecting: Promise<Session>, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await connecting
  try {
    return await work(session)
  } catch (error) {
    throw error instanceof TenantryError ? await session.explain(error) : error
  } finally {
    await session.close()
  }
}
