import { type Cancellable, poll, throwIfAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, physicalNames } from '../kernel/names.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { Server, Session, WhichSessions } from '../server/port.ts'
import type { ProvisioningContext } from './context.ts'
import { disableLogin } from './separation.ts'

/** What is to be left, by which sessions, and by when. */
export interface Drain extends Cancellable {
  /** Statements that are committed with the end of the role's logins. */
  readonly also?: readonly string[]
  readonly database: Identifier
  /** `work` leaves a backup by pg_dump alone. */
  readonly which: WhichSessions
  /** How long work under way may take, in milliseconds; then its sessions are ended. */
  readonly drainMs: number
}

/** How long sessions that were ended may take to be gone, in milliseconds. */
const endingMs = 5_000

/**
 * Takes a tenant's role its login, makes every process let go of the tenant, and waits until its database is empty. At the
 * deadline, the sessions that are left are ended.
 *
 * The login goes first: nothing that the tenant does can keep it, and nobody comes back while the rest is done. The role's
 * prepared transactions, which need no session, are rolled back last.
 *
 * @throws `sessions-remain`, `permission-denied`
 */
export async function drain(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  row: TenantRow,
  { database, which, drainMs, signal, also = [] }: Drain,
): Promise<void> {
  const deadline = Date.now() + drainMs
  const locking = disableLogin(context, server, row, database)
  // Its own sessions, in whatever database they are: what they hold outlives the login.
  const user = row.credential && physicalNames.login(context.installation, row.rowId)
  const own: WhichSessions | undefined = user && { of: user }
  const racing = { database, which: own ?? which, signal }
  await despiteRaces(server, admin, racing, () => admin.script([...locking, ...also]))
  await context.evict({ tenant: row.id, server: row.server, database: row.database }, drainMs, { signal })
  // What a pooler keeps idle is no work under way.
  const how = server.pooling === undefined ? 'any' : 'busy'
  const isEmpty = async () => (await server.sessions(admin, database, which, how)).length === 0 || undefined
  const isLeft = await poll(isEmpty, Math.max(0, deadline - Date.now()), signal)
  if (own !== undefined) await server.admitLogins(admin)
  // A login under way when the role lost its own may not have been seen.
  if (!isLeft || locking.length > 0 || how === 'busy') await endSessions(server, admin, { database, which, signal })
  if (own !== undefined && which === 'all') await endSessions(server, admin, { database, which: own, signal })
  await server.rollBackPrepared(admin, database, user)
}

/** How often the change of a role is repeated that its own sessions change at the same moment. */
const roleAttempts = 20

/**
 * Changes a tenant's role. PostgreSQL fails the change if another session changed the role while this one waited for it
 * ("tuple concurrently updated"); the role may do that itself, again and again: its sessions are ended then.
 */
export async function despiteRaces<T>(
  server: Server,
  admin: Session,
  { database, which, signal }: Pick<Drain, 'database' | 'which' | 'signal'>,
  change: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await change()
    } catch (error) {
      const isRace = error instanceof TenantryError && error.code === 'query-failed' && error.retryable
      if (!isRace || attempt === roleAttempts) throw error
      throwIfAborted(signal)
      await server.endSessions(admin, await server.sessions(admin, database, which))
    }
  }
}

/** Ends the sessions in a database. @throws `sessions-remain`, `permission-denied` */
export async function endSessions(
  server: Server,
  admin: Session,
  { database, which, signal }: Omit<Drain, 'drainMs' | 'also'>,
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
