import { randomUUID } from 'node:crypto'
import type { Cancellable } from '../../kernel/abort.ts'
import { hasCode, hasFailure, TenantryError } from '../../kernel/errors.ts'
import { type Identifier, physicalNames } from '../../kernel/names.ts'
import type { SparePool, SpareRow } from '../../catalog/inventory.ts'
import type { DatabaseInfo, Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { readStamp, writeStamp } from '../../server/stamp.ts'
import { digestOf } from '../../structure/structure-object.ts'
import type { MakingContext, ProvisioningContext } from '../context.ts'
import { durablyBoth, type LockedWork, type ServerSite } from '../locks/locked-work.ts'
import { dropLogin, loginChanges, newLogin } from '../roles/separation.ts'
import { copyTemplate } from './template.ts'

/** The place where spares are filled or used, and its sessions. */
export interface SpareSite extends ServerSite {
  readonly locked: LockedWork
}

/** The pool of spares of this process's version on a server. */
export function ownPool({ fingerprint }: ProvisioningContext, server: Server): SparePool {
  return { server: server.name, fingerprint }
}

/** The name of the lock under which one process fills, or empties, a pool of spares. */
export function spareLock({ server, fingerprint }: SparePool): string {
  return `spares:${server}:${fingerprint}`
}

/**
 * Makes one spare: a copy of the template that was connected to once, was found to have the template's structure, and
 * is closed. The caller has the lock of the pool of spares. The first connection builds the cache file of the
 * database's own catalogs (pg_internal.init), which halves the time of the tenant's first connection.
 */
export async function fillSpare<Handle>(
  context: MakingContext<Handle>,
  { locked, server, admin }: SpareSite,
  options: Cancellable,
): Promise<void> {
  const since = performance.now()
  const { installation, installationId, fingerprint } = context
  const [sparePool, rowId] = [ownPool(context, server), randomUUID()]
  const name = (context.naming === 'opaque' ? physicalNames.opaque : physicalNames.spare)(installation, rowId)
  await locked.inventory.addSpare(sparePool, rowId, name)
  const { digest } = await copyTemplate(context, { server, admin, database: name }, options)
  await warm(server, name, digest, options)
  const [made] = await server.databases.describe(admin, [name])
  if (made === undefined) throw spoiltError(name)
  const stamp = writeStamp({ installation: installationId, kind: 'spare', row: rowId, fingerprint })
  const { separation } = context
  const login = separation && newLogin(installation, separation, server, rowId)
  const isKept = await durablyBoth(
    locked,
    admin,
    () =>
      server.apply(admin, [
        { change: 'close', database: name },
        ...loginChanges(separation, login, name),
        { change: 'stamp', database: name, comment: stamp },
      ]),
    async () => {
      if (login !== undefined) await locked.credentials.put(rowId, login.sealed)
      return locked.inventory.finishSpare(rowId, made.oid)
    },
  )
  if (isKept) context.emit({ event: 'spare-filled', ...sparePool, durationMs: performance.now() - since })
}

async function warm(server: Server, name: Identifier, wanted: string | undefined, options: Cancellable): Promise<void> {
  const read = (session: Session) => server.structures.read(session, { privileges: true })
  const { structure } = await withSession(server.connect(name, options), read)
  if (digestOf(structure) === wanted) return
  throw new TenantryError('verification-failed', `The spare ${name} does not have the structure of its template.`, {
    hint: 'Repeat the call: it was changed while it was made, so it is dropped and made again.',
    retryable: true,
  })
}

/** Discards the spares that are no longer as they were filled, and those whose filling was interrupted. */
export async function discardUnready({ locked, server, admin }: SpareSite, sparePool: SparePool): Promise<void> {
  const ready = await locked.inventory.spares(sparePool, ['ready'])
  const found = await server.databases.describe(
    admin,
    ready.map(({ database }) => database),
  )
  const changed = ready.filter((spare) => !isAsFilled(spare, found))
  // The process that filled these has lost the lock, which this process has now.
  const interrupted = await locked.inventory.spares(sparePool, ['filling'])
  await locked.inventory.discardSpares([...changed, ...interrupted].map(({ rowId }) => rowId))
}

/** True if a spare is the database that was filled, and was not opened or half dropped since. */
function isAsFilled({ database, oid }: SpareRow, found: readonly DatabaseInfo[]): boolean {
  const info = found.find(({ name }) => name === database)
  const isClosed = info?.acceptsConnections === false && !info.isPublic
  return isClosed && info.oid === oid && !info.invalid && !info.hasOldCollation
}

/**
 * Drops the databases of discarded spares, and then their rows. Their names are never used again, except with opaque
 * names: then a tenant's database keeps the name of the spare, and a catalog that was set back to before the claim
 * still records it as a spare. Its stamp shows that, and it stays.
 */
export async function dropSpares(
  context: ProvisioningContext,
  { locked, server, admin }: SpareSite,
  spares: readonly SpareRow[],
): Promise<void> {
  if (spares.length === 0) return
  const found = await server.databases.describe(
    admin,
    spares.map(({ database }) => database),
  )
  for (const { rowId, database, fingerprint } of spares) {
    const since = performance.now()
    const info = found.find(({ name }) => name === database)
    if (readStamp(info?.comment)?.kind !== 'tenant') await server.databases.drop(admin, database)
    await dropLogin(context, server, admin, rowId)
    await locked.inventory.removeSpare(rowId)
    context.emit({ event: 'spare-dropped', server: server.name, fingerprint, durationMs: performance.now() - since })
  }
}

/**
 * Uses a spare as the database of a tenant that is being made, under the building name of that tenant. An open
 * transaction on the catalog holds the spare's row while its database is renamed, elsewhere by a transaction of its
 * own. If that one commits and this one does not, the row names a missing database: the next process that takes it
 * finds that out.
 *
 * @param rowId the tenant's row, which names its role from then on
 * @returns false if there is none
 */
export async function useSpare(
  context: ProvisioningContext,
  { locked, server, admin }: SpareSite,
  rowId: string,
  stamp: string,
): Promise<boolean> {
  for (;;) {
    let spare: SpareRow | undefined
    const use = async () => {
      spare = await locked.inventory.takeSpare(ownPool(context, server))
      if (spare === undefined) return false
      await becomes(context, { locked, server, admin }, spare, rowId, stamp)
      await locked.inventory.removeSpare(spare.rowId)
      return true
    }
    try {
      return await locked.session.transaction(use, { durable: true })
    } catch (error) {
      if (spare === undefined || !isSpoilt(error)) throw error
      await locked.inventory.discardSpares([spare.rowId])
    }
  }
}

/** Renames a spare, opens it and stamps it, within the open transaction if that is on the same server. */
async function becomes(
  { installation, separation }: ProvisioningContext,
  { locked, server, admin }: SpareSite,
  spare: SpareRow,
  rowId: string,
  stamp: string,
): Promise<void> {
  const building = physicalNames.building(installation, rowId)
  const nameOf = (row: string) => physicalNames.login(installation, row)
  const isSound =
    isAsFilled(spare, await server.databases.describe(admin, [spare.database])) &&
    // RENAME would wait five seconds for them before it fails.
    (await server.sessions.list(admin, spare.database, 'all')).length === 0
  if (!isSound) throw spoiltError(spare.database)
  const change = () =>
    server.apply(admin, [
      { change: 'rename', database: spare.database, to: building },
      { change: 'open', database: building },
      { change: 'stamp', database: building, comment: stamp },
      ...(separation ? [{ change: 'rename-login', user: nameOf(spare.rowId), to: nameOf(rowId) } as const] : []),
    ])
  if (admin === locked.session) await change()
  else await admin.transaction(change, { durable: true })
}

/** True if a spare, or its role, was dropped, renamed, opened or entered by others. */
function isSpoilt(error: unknown): boolean {
  return hasCode(error, spoilt) || hasFailure(error, 'in-use', 'missing-database', 'missing-object')
}

const spoilt = 'database-missing'

function spoiltError(name: Identifier): TenantryError {
  return new TenantryError(spoilt, `The spare ${name} was dropped or changed by another program.`, {
    hint: 'Repeat the call: it is made again.',
    retryable: true,
  })
}
