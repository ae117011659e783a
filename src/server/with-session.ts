import type { Session } from './port.ts'

/** Runs `work` with a session, and closes it. */
export async function withSession<T>(connecting: Promise<Session>, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await connecting
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}
