import { sha256 } from '../../kernel/hash.ts'
import type { Cancellable } from '../../kernel/abort.ts'
import { TenantryError, hasCode } from '../../kernel/errors.ts'
import type { TenantId } from '../../kernel/names.ts'
import { Catalog } from '../../catalog/catalog.ts'
import { Credentials } from '../../catalog/credentials.ts'
import { Inventory } from '../../catalog/inventory.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { requireServer } from '../../server/require-server.ts'
import type { ProvisioningContext } from '../context.ts'

/** A server, and an administrative session on it. */
export interface ServerSite {
  readonly server: Server
  readonly admin: Session
}

/** Exclusive work on a tenant, or on templates and spares. */
export interface LockedWork {
  /** A session on the catalog, which holds the lock. */
  readonly session: Session
  /** The catalog over that session. */
  readonly catalog: Catalog
  /** Templates and spares over that session. */
  readonly inventory: Inventory
  /** The encrypted passwords over that session. */
  readonly credentials: Credentials
  /** The time at which the work began, for its duration. */
  readonly since: number
}

/** Options of locked work. */
export interface LockOptions extends Cancellable {
  /** The longest time between two uses of the sessions that hold the locks, in milliseconds. Default: no limit. */
  readonly idleMs?: number | undefined
}

/**
 * Runs `work` under the lock of a tenant's id, in the whole installation.
 *
 * @throws `lock-timeout`
 */
export async function underLock<T>(
  context: ProvisioningContext,
  id: TenantId,
  options: LockOptions,
  work: (locked: LockedWork) => Promise<T>,
): Promise<T> {
  const since = performance.now()
  const session = await context.connect(context.home, options)
  try {
    if (options.idleMs !== undefined) await session.limitIdle(options.idleMs)
    await lockTenant(session, context, id)
    const locked = lockedBy(session, since)
    return await work(locked).catch(async (error: unknown) => {
      if (error instanceof TenantryError) await noteFailure(locked, error)
      throw error
    })
  } catch (error) {
    throw error instanceof TenantryError ? error.forTenant(id) : error
  } finally {
    await session.close()
  }
}

/**
 * Returns the name of the lock on a tenant's id. Every role of the server sees the keys of all locks (pg_locks):
 * without the catalog's secret, no role can find out ids by trial.
 */
export function tenantLock({ lockSecret }: Pick<ProvisioningContext, 'lockSecret'>, id: TenantId): string {
  return `tenant:${sha256(`${lockSecret}:${id}`)}`
}

async function lockTenant(session: Session, context: ProvisioningContext, id: TenantId): Promise<void> {
  try {
    await session.lock(tenantLock(context, id), 'session', context.lockTimeoutMs)
  } catch (error) {
    if (!hasCode(error, 'lock-timeout')) throw error
    const message = `Another process was at work on the tenant ${id} for over ${context.lockTimeoutMs} ms.`
    throw new TenantryError('lock-timeout', message, {
      tenant: id,
      hint: 'Repeat the call, or raise limits.lockTimeoutMs.',
    })
  }
}

/** Records a failed change in the audit trail, if the catalog can be reached at that moment. */
async function noteFailure({ catalog }: LockedWork, { code }: TenantryError): Promise<void> {
  try {
    await catalog.noteFailure(code)
  } catch (cause) {
    // The session may have ended with the failure, or its caller: then the entry of the begin is the last.
    if (!(cause instanceof TenantryError)) throw cause
  }
}

/** Returns the work for a session on the catalog that holds a lock. */
export function lockedBy(session: Session, since = performance.now()): LockedWork {
  const pool = session.asPool()
  return {
    session,
    catalog: new Catalog(pool),
    inventory: new Inventory(pool),
    credentials: new Credentials(pool),
    since,
  }
}

/** Runs `work` with a session on the tenant's server; see {@link onServer}. */
export function onServerOf<T>(
  context: ProvisioningContext,
  locked: LockedWork,
  row: TenantRow,
  options: LockOptions,
  work: (server: Server, admin: Session) => Promise<T>,
): Promise<T> {
  const server = requireServer(context.servers, row.server, row.id)
  return onServer(context, locked, server, `tenant:${row.rowId}`, options, (admin) => work(server, admin))
}

/**
 * Runs `work` with a session on a server: the one that holds the lock, if the catalog is on that server. Elsewhere a
 * lock is taken there as well. The lock in the catalog ends with its session; work of a process that lost it must end
 * on this server before another begins.
 */
export async function onServer<T>(
  context: ProvisioningContext,
  { session }: LockedWork,
  server: Server,
  lock: string,
  options: LockOptions & { readonly connect?: ProvisioningContext['connect'] },
  work: (admin: Session) => Promise<T>,
): Promise<T> {
  if (server === context.home) return work(session)
  return withSession((options.connect ?? context.connect)(server, options), async (admin) => {
    if (options.idleMs !== undefined) await admin.limitIdle(options.idleMs)
    await admin.lock(lock, 'session', context.lockTimeoutMs)
    // Another process may have overtaken this one, if it lost the lock in the catalog before it had the one here. From
    // here on none can.
    await session.query('select 1')
    return work(admin)
  })
}

/** Commits a change of the catalog so that it survives a crash. */
export function durably<T>({ session }: LockedWork, change: () => Promise<T>): Promise<T> {
  return session.transaction(change, { durable: true })
}

/**
 * Changes a database and its row: in one transaction if both are on one server; elsewhere the database first, so that
 * it shows the progress of an interrupted change.
 */
export async function durablyBoth<T>(
  locked: LockedWork,
  admin: Session,
  database: () => Promise<void>,
  row: () => Promise<T>,
): Promise<T> {
  const isHome = admin === locked.session
  if (!isHome) await admin.transaction(database, { durable: true })
  return durably(locked, async () => {
    if (isHome) await database()
    return row()
  })
}
