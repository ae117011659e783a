import { TenantryError } from '../kernel/errors.ts'
import { parseTenantId, type TenantId } from '../kernel/names.ts'
import { positiveInteger } from '../kernel/options.ts'
import { stateError } from '../catalog/states.ts'
import { type TenantRow, unknownTenant } from '../catalog/tenant.ts'
import type { Server, Session } from '../server/port.ts'
import { type BeforeArrow, beforeArrow, takeArrow } from './arrows.ts'
import { announce, type ProvisioningContext, type VerbOptions } from './context.ts'
import { endSessions } from './drain.ts'
import { durablyBoth, type LockedWork, onServerOf, underLock } from './tenant-lock.ts'
import { findDatabase, namesOf } from './tenant-names.ts'
import { checkVerbOptions } from './tenant-options.ts'

/** What came of purging a tenant. */
export interface Purged {
  readonly outcome: 'purged' | 'already-purged'
}

/** What came of purging those which retention has ended. */
export interface PurgedExpired {
  readonly purged: readonly TenantId[]
  /** Those that could not be purged; the next call tries them again. */
  readonly failed: readonly { readonly tenant: TenantId; readonly error: TenantryError }[]
}

/** Options of `purgeExpired`. */
export interface PurgeExpiredOptions extends VerbOptions {
  /** How many at most. Default 100. */
  readonly limit?: number
}

/**
 * Destroys an offboarded tenant, or one that was never finished: its database, with all data, and its row. The id is
 * free then; the audit trail stays.
 *
 * The deciding transaction gives the database a name that is never used again, and only such a name is ever dropped.
 *
 * @throws `tenant-unknown`, `tenant-state`, `foreign-database`, `sessions-remain`, `permission-denied`, `lock-timeout`
 */
export async function purge(context: ProvisioningContext, id: string, options: VerbOptions): Promise<Purged> {
  const tenantId = parseTenantId(id)
  checkVerbOptions('purge', options)
  return purgeIf(context, tenantId, options, () => true)
}

/** Purges the tenants which retention has ended, one after the other. */
export async function purgeExpired(context: ProvisioningContext, options: PurgeExpiredOptions): Promise<PurgedExpired> {
  checkVerbOptions('purgeExpired', options, ['limit'])
  const expired = await context.catalog.expired(positiveInteger('limit', options.limit ?? 100))
  const purged: TenantId[] = []
  const failed: { tenant: TenantId; error: TenantryError }[] = []
  for (const tenant of expired) {
    try {
      await purgeIf(context, tenant, options, hasExpired)
      purged.push(tenant)
    } catch (error) {
      if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
      failed.push({ tenant, error })
    }
  }
  return { purged, failed }
}

/** Somebody may have restored it since, or offboarded it anew. */
function hasExpired({ state, purgeAfter }: TenantRow): boolean {
  return state === 'purging' || (state === 'offboarded' && purgeAfter !== undefined && purgeAfter <= new Date())
}

function purgeIf(
  context: ProvisioningContext,
  id: TenantId,
  options: VerbOptions,
  condition: (row: TenantRow) => boolean,
): Promise<Purged> {
  return underLock(context, id, options, async (locked) => {
    if (await wasPurged(locked, id)) return { outcome: 'already-purged' }
    const before = await beforeArrow(locked, 'purge', id, ['purging'])
    if (!condition(before.row)) throw stateError('purge', id, before.row.state)
    await onServerOf(context, locked, before.row, options, (server, admin) =>
      destroy(context, locked, { server, admin }, before, options),
    )
    return { outcome: 'purged' }
  })
}

/** Whether there is no tenant of that id, and the last that is known of one is its purge. @throws `tenant-unknown` */
async function wasPurged({ catalog }: LockedWork, id: TenantId): Promise<boolean> {
  if ((await catalog.find(id)) !== undefined) return false
  const [last] = await catalog.history(id, 1)
  if (last?.verb === 'purge') return true
  throw unknownTenant(id)
}

interface Site {
  readonly server: Server
  readonly admin: Session
}

async function destroy(
  context: ProvisioningContext,
  locked: LockedWork,
  { server, admin }: Site,
  before: BeforeArrow,
  { actor, signal }: VerbOptions,
): Promise<void> {
  const { row } = before
  const { doomed } = namesOf(context, row)
  const found = await findDatabase(context, server, admin, row)
  // What was to be adopted and never was stays which it is.
  const isOurs = found !== undefined && (row.origin !== 'adopt' || row.activatedAt !== undefined)
  const rename = async () => {
    if (isOurs && found.name !== doomed) await admin.script([server.renameStatement(found.name, doomed)])
    if (found !== undefined && !isOurs)
      await admin.script([server.commentStatement(found.name, found.stamp.comment ?? '')])
  }
  if (isOurs && found.name !== doomed) {
    await endSessions(server, admin, row, { database: found.name, which: 'all', signal })
  }
  if (before.isDone) await rename()
  const change = { verb: 'purge', to: 'purging', actor } as const
  await takeArrow(context, locked, before, change, (take) => durablyBoth(locked, admin, rename, take))
  if (isOurs) await admin.query(server.dropStatement(doomed))
  const isGone = await locked.catalog.remove(row.rowId, 'purging', 'purge', { actor })
  if (isGone) announce(context, 'purge', row, { from: 'purging', to: undefined, since: locked.since })
}
