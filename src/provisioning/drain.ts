import { type Cancellable, poll } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { Server, Session, WhichSessions } from '../server/port.ts'
import type { ProvisioningContext } from './context.ts'
import { lockOut } from './separation.ts'

/** What is to be left, by which sessions, and by when. */
export interface Drain extends Cancellable {
  readonly database: Identifier
  /** `work` leaves a backup by pg_dump alone. */
  readonly which: WhichSessions
  /** How long work under way may take, in milliseconds; then its sessions are ended. */
  readonly drainMs: number
}

/** How long sessions that were ended may take to be gone, in milliseconds. */
const endingMs = 5_000

/**
 * Makes every process let go of a tenant, and waits until nobody is in its database. Then, or at the deadline, its role
 * can log in no more, and the sessions that are left are ended.
 *
 * @throws `sessions-remain`, `permission-denied`
 */
export async function drain(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  row: TenantRow,
  { database, which, drainMs, signal }: Drain,
): Promise<void> {
  const deadline = Date.now() + drainMs
  await context.evict({ tenant: row.id, server: row.server, database: row.database }, drainMs, { signal })
  // What a pooler keeps idle waits for nobody's work.
  const how = server.pooling === undefined ? 'any' : 'busy'
  const isEmpty = async () => (await server.sessions(admin, database, which, how)).length === 0 || undefined
  const isLeft = await poll(isEmpty, Math.max(0, deadline - Date.now()), signal)
  const locking = lockOut(context, server, row, database)
  await admin.script(locking)
  // Nobody who had the password can have come in since it was looked at.
  if (!isLeft || locking.length > 0 || how === 'busy') await endSessions(server, admin, { database, which, signal })
}

/** Ends the sessions in a database. @throws `sessions-remain`, `permission-denied` */
export async function endSessions(
  server: Server,
  admin: Session,
  { database, which, signal }: Omit<Drain, 'drainMs'>,
): Promise<void> {
  const isEmpty = async () => {
    const left = await server.sessions(admin, database, which)
    if (left.length > 0) await server.endSessions(admin, left)
    return left.length === 0 || undefined
  }
  if (await poll(isEmpty, endingMs, signal)) return
  throw remainError(database)
}

/** Whether a database could not be renamed or dropped because somebody is in it. */
export function isInUse(error: unknown): boolean {
  return error instanceof TenantryError && error.sqlState === '55006'
}

/** The error of a database that somebody does not leave. */
export function remainError(database: Identifier): TenantryError {
  return new TenantryError('sessions-remain', `Somebody is still connected to the database ${database}.`, {
    hint: 'pg_stat_activity shows who. Stop it, and repeat the call: it goes on from where it is.',
  })
}
