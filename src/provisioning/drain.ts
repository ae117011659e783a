import { type Cancellable, poll, throwIfAborted } from '../kernel/abort.ts'
import { hasCode, hasFailure, TenantryError } from '../kernel/errors.ts'
import { type Identifier, physicalNames } from '../kernel/names.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { Change, Server, Session, WhichSessions } from '../server/port.ts'
import type { ProvisioningContext } from './context.ts'
import { disableLogin } from './roles/separation.ts'

/** The database to drain, the sessions that have to end, and the deadline. */
export interface Drain extends Cancellable {
  /** Changes that are committed with the end of the role's logins. */
  readonly also?: readonly Change[]
  readonly database: Identifier
  /** `work` leaves a backup by pg_dump alone. */
  readonly which: WhichSessions
  /** The time for work under way, in milliseconds; then its sessions are ended. */
  readonly drainMs: number
}

/** The time that sessions have to end, in milliseconds. */
const endingMs = 5_000

/**
 * Disables the login of a tenant's role, makes every process release the tenant, and waits until its database has no
 * sessions. At the deadline, the remaining sessions are ended. The login is disabled first: the tenant cannot prevent
 * it, and no new session begins during the rest. The role's prepared transactions, which need no session, are rolled
 * back last.
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
  const locking = disableLogin(context, row, database)
  // Its own sessions, in any database: the locks that they hold outlast the login.
  const user = row.credential && physicalNames.login(context.installation, row.rowId)
  const own: WhichSessions | undefined = user && { of: user }
  const racing = { database, which: own ?? which, signal }
  const lock = () => despiteRaces(server, admin, racing, () => server.apply(admin, [...locking, ...also]))
  await lock().catch(async (error: unknown) => {
    if (user === undefined || !hasCode(error, 'lock-timeout', 'timeout')) throw error
    await shutOut(server, admin, user, racing)
    await lock()
  })
  await context.evict({ tenant: row.id, server: row.server, database: row.database }, drainMs, { signal })
  // Idle connections of a pooler are no work under way.
  const how = server.pooling === undefined ? 'any' : 'busy'
  const isEmpty = async () => (await server.sessions.list(admin, database, which, how)).length === 0 || undefined
  const isLeft = await poll(isEmpty, Math.max(0, deadline - Date.now()), signal)
  // A login that was under way when the role lost its own is not seen among the sessions.
  if (user !== undefined && !(await server.sessions.endLogins(admin, { user }))) throw remainError(database)
  if (!isLeft || locking.length > 0 || how === 'busy') await endAllSessions(server, admin, { database, which, signal })
  if (own !== undefined && which === 'all') await endAllSessions(server, admin, { database, which: own, signal })
  await server.sessions.rollBackPrepared(admin, database, user)
}

/**
 * Keeps a role whose login could not be disabled out of its tenant's database, and ends its sessions there. A session of
 * its own may hold the role, and cannot be ended as long as its client does not read a long message of an error.
 */
async function shutOut(
  server: Server,
  admin: Session,
  user: Identifier,
  { database, which }: Pick<Drain, 'database' | 'which'>,
): Promise<void> {
  await server.apply(admin, [{ change: 'revoke-connect', user, database }])
  await server.sessions.end(admin, await server.sessions.list(admin, database, which))
}

/** The number of attempts to change what a tenant's sessions change at the same moment. */
const raceAttempts = 20

/**
 * Changes a tenant's role, or privileges in its database. PostgreSQL fails the change if another session made one while
 * this one waited for it ("tuple concurrently updated"); the tenant's role may do that, again and again: its sessions are
 * ended then.
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
      if (!hasFailure(error, 'race') || attempt === raceAttempts) throw error
      throwIfAborted(signal)
      await server.sessions.end(admin, await server.sessions.list(admin, database, which))
    }
  }
}

/** Ends the sessions in a database. @throws `sessions-remain`, `permission-denied` */
export async function endAllSessions(
  server: Server,
  admin: Session,
  { database, which, signal }: Omit<Drain, 'drainMs' | 'also'>,
): Promise<void> {
  let left: readonly number[] = []
  const isEmpty = async () => {
    left = await server.sessions.list(admin, database, which)
    if (left.length > 0) await server.sessions.end(admin, left)
    return left.length === 0 || undefined
  }
  if (await poll(isEmpty, endingMs, signal)) return
  throw remainError(database, left)
}

/** The number of process ids that a hint names at most. */
const mostNamed = 5

/** Returns the error of a database with a remaining session; logins have no known process ids. */
export function remainError(database: Identifier, processIds: readonly number[] = []): TenantryError {
  const named = processIds.length === 0 ? '' : ` (pid ${processIds.slice(0, mostNamed).join(', ')})`
  return new TenantryError('sessions-remain', `The database ${database} still has sessions.`, {
    hint: `Find them in pg_stat_activity${named}, end their programs, and repeat the call: it continues.`,
  })
}
