import { untilAborted } from '../../kernel/abort.ts'
import { hasFailure, TenantryError } from '../../kernel/errors.ts'
import { parseTenantId, physicalNames, type TenantId } from '../../kernel/names.ts'
import { stateError } from '../../catalog/states.ts'
import { type TenantRow, unknownTenant } from '../../catalog/tenant.ts'
import { readStamp } from '../../server/stamp.ts'
import { type BeforeTransition, beforeTransition, takeTransition } from './transitions.ts'
import { emitChange, type ProvisioningContext, type VerbOptions } from '../context.ts'
import { endAllSessions, remainError } from '../drain.ts'
import { durablyBoth, type LockedWork, onServerOf, underLock, type ServerSite } from '../locks/locked-work.ts'
import { dropLogin } from '../roles/separation.ts'
import {
  disagreeError,
  findDatabase,
  type FoundDatabase,
  isNewer,
  isStampOf,
  namesOf,
  stampChange,
} from './tenant-names.ts'

/** The result of purging a tenant. */
export interface Purged {
  readonly outcome: 'purged' | 'already-purged'
}

/** The result of purging the tenants whose retention has ended. */
export interface PurgedExpired {
  readonly purged: readonly TenantId[]
  /** Tenants that could not be purged; the next call tries them again. */
  readonly failed: readonly { readonly tenant: TenantId; readonly error: TenantryError }[]
}

/** Options of `purgeExpired`. */
export interface PurgeExpiredOptions extends VerbOptions {
  /** The largest number of tenants, in the order of their ids. Default 100, at most 1,000. */
  readonly limit?: number
}

/**
 * Destroys an offboarded tenant, or one that was never finished: its database, with all data, and its row. The id is
 * free then; the audit trail stays.
 *
 * The deciding transaction gives the database a name that is never used again, and only such a name is ever dropped.
 */
export async function purge(context: ProvisioningContext, id: string, options: VerbOptions): Promise<Purged> {
  const tenantId = parseTenantId(id)
  return purgeIf(context, tenantId, options, async () => true)
}

/** Purges the tenants whose retention has ended, one after the other. */
export async function purgeExpired(context: ProvisioningContext, options: PurgeExpiredOptions): Promise<PurgedExpired> {
  const limit = Math.min(options.limit ?? 100, 1_000)
  const expired = await untilAborted(context.catalog.expired(limit), options.signal)
  const purged: TenantId[] = []
  const failed: { tenant: TenantId; error: TenantryError }[] = []
  for (const tenant of expired) {
    try {
      const { outcome } = await purgeIf(context, tenant, options, ({ catalog }) => catalog.hasExpired(tenant))
      if (outcome === 'purged') purged.push(tenant)
    } catch (error) {
      if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
      if (!isNoLonger(error)) failed.push({ tenant, error })
    }
  }
  return { purged, failed }
}

/** True if a tenant was restored or purged since the list was read; the call must not be repeated then. */
export function isNoLonger({ code, retryable }: TenantryError): boolean {
  return (code === 'tenant-state' || code === 'tenant-unknown') && !retryable
}

/** Removes a tenant that was never finished, if it is the same tenant, and still not finished. */
export function removeUnfinished(
  context: ProvisioningContext,
  tenant: TenantRow,
  options: VerbOptions,
): Promise<Purged> {
  return purgeIf(context, tenant.id, options, async ({ catalog }) => {
    const now = await catalog.find(tenant.id)
    return now?.rowId === tenant.rowId && now.state === 'onboarding'
  })
}

/** Finishes a purge that was interrupted, if it is still the same tenant. */
export function finishPurge(context: ProvisioningContext, tenant: TenantRow, options: VerbOptions): Promise<Purged> {
  return purgeIf(context, tenant.id, options, async ({ catalog }) => {
    const now = await catalog.find(tenant.id)
    return now?.rowId === tenant.rowId && now.state === 'purging'
  })
}

function purgeIf(
  context: ProvisioningContext,
  id: TenantId,
  options: VerbOptions,
  condition: (locked: LockedWork) => Promise<boolean>,
): Promise<Purged> {
  return underLock(context, id, options, async (locked) => {
    if (await wasPurged(locked, id)) return { outcome: 'already-purged' }
    const before = await beforeTransition(locked, 'purge', id, ['purging'])
    if (!(await condition(locked))) throw stateError('purge', id, before.row.state)
    await onServerOf(context, locked, before.row, options, (server, admin) =>
      destroy(context, locked, { server, admin }, before, options),
    )
    return { outcome: 'purged' }
  })
}

/** True if there is no tenant of that id, and the last entry of one is its purge. @throws `tenant-unknown` */
async function wasPurged({ catalog }: LockedWork, id: TenantId): Promise<boolean> {
  if ((await catalog.find(id)) !== undefined) return false
  const [last] = await catalog.history(id, 1)
  if (last?.verb === 'purge') return true
  throw unknownTenant(id)
}

async function destroy(
  context: ProvisioningContext,
  locked: LockedWork,
  { server, admin }: ServerSite,
  before: BeforeTransition,
  { actor, signal }: VerbOptions,
): Promise<void> {
  const { row } = before
  const { pendingDrop } = namesOf(context, row)
  // A database that was to be adopted, but never was, stays its owner's.
  const isOurs = row.origin !== 'adopt' || row.activatedAt !== undefined
  if (!isOurs) return giveBack(context, locked, { server, admin }, before, actor)
  const found = await findDatabase(context, server, admin, row)
  if (found !== undefined) refuseUnproven(context, row, found)
  const rename = async () => {
    if (found === undefined || found.name === pendingDrop) return
    const isTenants = found.stamp.kind === 'tenant'
    const now = { state: 'purging', transition: before.transition } as const
    await server.apply(admin, [
      { change: 'rename', database: found.name, to: pendingDrop },
      ...(isTenants ? [stampChange(context, row, { ...found, name: pendingDrop }, now)] : []),
    ])
  }
  if (found !== undefined && found.name !== pendingDrop) {
    await endAllSessions(server, admin, { database: found.name, which: 'all', signal })
    await server.sessions.rollBackPrepared(admin, found.name)
  }
  try {
    if (before.isDone) await rename()
    const change = { verb: 'purge', to: 'purging', actor } as const
    await takeTransition(context, locked, before, change, (take) => durablyBoth(locked, admin, rename, take))
  } catch (error) {
    throw hasFailure(error, 'in-use') && found !== undefined ? remainError(found.name) : error
  }
  if (found !== undefined) await server.databases.drop(admin, pendingDrop)
  // In any database: a session outlives its role, and cannot be attributed to it then.
  const user = physicalNames.login(context.installation, row.rowId)
  await endAllSessions(server, admin, { database: pendingDrop, which: { of: user }, signal })
  await dropLogin(context, server, admin, row.rowId)
  await forget(context, locked, row, actor)
}

/**
 * Refuses to destroy a database unless its name and its stamp prove that it was archived, is being purged, or was never
 * finished: a catalog that was set back may record such a state for a tenant that is in service.
 *
 * @throws `catalog-disagrees`
 */
function refuseUnproven(context: ProvisioningContext, row: TenantRow, found: FoundDatabase): void {
  const { building, archived, pendingDrop } = namesOf(context, row)
  if (found.name === pendingDrop) return
  const isUnfinished = row.state === 'onboarding' && found.name === building
  const isOut = row.state === 'offboarded' || row.state === 'purging'
  const isArchived = isOut && found.name === archived && !isNewer(found.stamp, row)
  if (!isUnfinished && !isArchived) throw disagreeError(row, found)
}

/** Removes our stamp from a database that was to be adopted, and the row of its tenant. */
async function giveBack(
  context: ProvisioningContext,
  locked: LockedWork,
  { server, admin }: ServerSite,
  before: BeforeTransition,
  actor: string | undefined,
): Promise<void> {
  const { row } = before
  const [found] = await server.databases.describe(admin, [row.database])
  const stamp = readStamp(found?.comment)
  const isStamped = isStampOf(context, row, stamp)
  // A catalog that was set back to the middle of an adoption calls a tenant unfinished that is in service.
  if (isStamped && isNewer(stamp, row)) throw disagreeError(row, { name: row.database, stamp })
  await dropLogin(context, server, admin, row.rowId, found && row.database)
  if (isStamped) {
    await server.apply(admin, [{ change: 'stamp', database: row.database, comment: stamp.comment ?? '' }])
  }
  await takeTransition(context, locked, before, { verb: 'purge', to: 'purging', actor })
  await forget(context, locked, row, actor)
}

async function forget(
  context: ProvisioningContext,
  locked: LockedWork,
  row: TenantRow,
  actor: string | undefined,
): Promise<void> {
  const isGone = await locked.catalog.remove(row.rowId, 'purging', 'purge', { actor })
  context.forgetDomains()
  if (isGone) emitChange(context, 'purge', row, { from: 'purging', to: undefined, since: locked.since })
}
