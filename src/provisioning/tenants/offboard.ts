import { hasFailure } from '../../kernel/errors.ts'
import { parseTenantId } from '../../kernel/names.ts'
import { publicTenant, type Tenant, type TenantRow } from '../../catalog/tenant.ts'
import type { Server, Session } from '../../server/port.ts'
import { requireServer } from '../../server/require-server.ts'
import { beforeTransition, takeTransition } from './transitions.ts'
import type { DrainOptions, ProvisioningContext, VerbOptions } from '../context.ts'
import { drain, type Drain, remainError } from '../drain.ts'
import { isNameTaken } from './make-tenant.ts'
import { durablyBoth, onServerOf, underLock } from '../locks/locked-work.ts'
import { enableLogin, disableLogin } from '../roles/separation.ts'
import { findDatabase, foreignError, missingError, namesOf, stampChange } from './tenant-names.ts'

/** Options of `offboard`. */
export interface OffboardOptions extends DrainOptions {
  /**
   * The number of days for which the tenant can be restored before `purgeExpired` purges it. Default: that of the
   * configuration.
   */
  readonly retentionDays?: number
}

/** The result of offboarding a tenant. */
export interface Offboarded {
  readonly outcome: 'offboarded' | 'already-offboarded'
  readonly tenant: Tenant
}

/** The result of restoring a tenant. */
export interface Restored {
  readonly outcome: 'restored' | 'already-restored'
  /** Active, or suspended if it was before it was offboarded. */
  readonly tenant: Tenant
}

/** The number of times that sessions may begin between the drain and the renaming. */
const attempts = 5

/**
 * Ends a tenant's service. All sessions in its database end, the database is archived under another name, its id stays
 * reserved, and all is kept until the retention ends. Until it is purged it can be restored.
 */
export async function offboard(
  context: ProvisioningContext,
  id: string,
  options: OffboardOptions,
): Promise<Offboarded> {
  const tenantId = parseTenantId(id)
  const { drainMs = context.drainMs, retentionDays = context.retentionDays } = options
  return underLock(context, tenantId, options, async (locked) => {
    const before = await beforeTransition(locked, 'offboard', tenantId, ['offboarded'])
    requireServer(context.servers, before.row.server, tenantId)
    const restingState = before.row.state === 'suspended' ? 'suspended' : 'active'
    const change = { verb: 'offboard', to: 'offboarded', restingState, retentionDays, actor: options.actor } as const
    const row = await takeTransition(context, locked, before, change)
    await onServerOf(context, locked, row, options, (server, admin) =>
      archive(context, server, admin, row, {
        which: 'all',
        drainMs,
        signal: options.signal,
      }),
    )
    return { outcome: before.isDone ? 'already-offboarded' : 'offboarded', tenant: publicTenant(row) }
  })
}

/** Renames a tenant's database once it has no sessions, also one that an interrupted purge had renamed. */
async function archive(
  context: ProvisioningContext,
  server: Server,
  admin: Session,
  row: TenantRow,
  leaving: Omit<Drain, 'database'>,
): Promise<void> {
  const found = await findDatabase(context, server, admin, row)
  if (found === undefined) throw missingError(row)
  const { archived: name } = namesOf(context, row)
  const stamp = stampChange(context, row, { ...found, name }, row)
  if (found.name === name) {
    // An explicit call may bring a catalog that was set back to the state on the server.
    if (found.stamp.transition !== row.transition)
      await server.apply(admin, [...disableLogin(context, row, name), stamp])
    return
  }
  for (let attempt = 1; ; attempt++) {
    await drain(context, server, admin, row, { ...leaving, database: found.name })
    try {
      const renaming = [{ change: 'rename', database: found.name, to: name } as const, stamp]
      return await admin.transaction(() => server.apply(admin, renaming), { durable: true })
    } catch (error) {
      if (!hasFailure(error, 'in-use')) throw error
      if (attempt === attempts) throw remainError(found.name)
    }
  }
}

/** Returns an offboarded tenant, with all its data, to the state it had before. */
export async function restore(context: ProvisioningContext, id: string, options: VerbOptions): Promise<Restored> {
  const tenantId = parseTenantId(id)
  return underLock(context, tenantId, options, async (locked) => {
    const before = await beforeTransition(locked, 'restore', tenantId, ['active', 'suspended'])
    if (before.isDone) return { outcome: 'already-restored', tenant: publicTenant(before.row) }
    const change = { verb: 'restore', to: before.row.restingState ?? 'active', actor: options.actor } as const
    const row = await onServerOf(context, locked, before.row, options, async (server, admin) => {
      const { row: offboarded, transition } = before
      const found = await findDatabase(context, server, admin, offboarded)
      if (found === undefined) throw missingError(offboarded)
      const [name, isNamed] = [offboarded.database, found.name === offboarded.database]
      const bringBack = () =>
        server.apply(admin, [
          // An interrupted call may have renamed it already.
          ...(isNamed ? [] : [{ change: 'rename', database: found.name, to: name } as const]),
          ...(change.to === 'active' ? enableLogin(context, offboarded) : []),
          stampChange(context, offboarded, { ...found, name }, { state: change.to, transition }),
        ])
      try {
        return await takeTransition(context, locked, before, change, (take) =>
          durablyBoth(locked, admin, bringBack, take),
        )
      } catch (error) {
        if (hasFailure(error, 'in-use')) throw remainError(namesOf(context, before.row).archived)
        throw isNameTaken(error) ? foreignError(before.row, 'Rename it, and repeat the call.') : error
      }
    })
    return { outcome: 'restored', tenant: publicTenant(row) }
  })
}
