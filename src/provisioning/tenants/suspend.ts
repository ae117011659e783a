import { parseTenantId } from '../../kernel/names.ts'
import { publicTenant, type Tenant, type TenantRow } from '../../catalog/tenant.ts'
import { requireServer } from '../../server/require-server.ts'
import { type BeforeTransition, beforeTransition, takeTransition } from './transitions.ts'
import type { DrainOptions, ProvisioningContext, VerbOptions } from '../context.ts'
import { drain } from '../drain.ts'
import { durablyBoth, type LockedWork, onServerOf, underLock } from '../locks/locked-work.ts'
import { enableLogin, workOf } from '../roles/separation.ts'
import { findDatabase, missingError, stampChange } from './tenant-names.ts'

/** The result of suspending a tenant. */
export interface Suspended {
  readonly outcome: 'suspended' | 'already-suspended'
  readonly tenant: Tenant
}

/** The result of resuming a tenant. */
export interface Resumed {
  readonly outcome: 'resumed' | 'already-active'
  readonly tenant: Tenant
}

/**
 * Takes a tenant out of service: no process begins new work on it, and its role cannot log in any more. Queries and
 * transactions under way may end until the deadline, then their sessions are ended. Its database stays where it is.
 */
export async function suspend(context: ProvisioningContext, id: string, options: DrainOptions): Promise<Suspended> {
  const tenantId = parseTenantId(id)
  const { drainMs = context.drainMs } = options
  return underLock(context, tenantId, options, async (locked) => {
    const before = await beforeTransition(locked, 'suspend', tenantId, ['suspended'])
    requireServer(context.servers, before.row.server, tenantId)
    const row = await takeTransition(context, locked, before, {
      verb: 'suspend',
      to: 'suspended',
      actor: options.actor,
    })
    await onServerOf(context, locked, row, options, async (server, admin) => {
      const found = await findDatabase(context, server, admin, row)
      if (found?.name !== row.database) throw missingError(row)
      await drain(context, server, admin, row, {
        database: row.database,
        also: [stampChange(context, row, found, row)],
        which: workOf(context, row),
        drainMs,
        signal: options.signal,
      })
    })
    return { outcome: before.isDone ? 'already-suspended' : 'suspended', tenant: publicTenant(row) }
  })
}

/** Puts a suspended tenant back into service. */
export async function resume(context: ProvisioningContext, id: string, options: VerbOptions): Promise<Resumed> {
  const tenantId = parseTenantId(id)
  return underLock(context, tenantId, options, async (locked) => {
    const before = await beforeTransition(locked, 'resume', tenantId, ['active'])
    const change = { verb: 'resume', to: 'active', actor: options.actor } as const
    const row = await resumed(context, locked, before, change, options)
    return { outcome: before.isDone ? 'already-active' : 'resumed', tenant: publicTenant(row) }
  })
}

/** Enables the login of a tenant's role, with a stamp of that state, and makes the tenant active. */
function resumed(
  context: ProvisioningContext,
  locked: LockedWork,
  before: BeforeTransition,
  change: { readonly verb: 'resume'; readonly to: 'active'; readonly actor: string | undefined },
  options: VerbOptions,
): Promise<TenantRow> {
  const { row, isDone, transition } = before
  if (isDone) return takeTransition(context, locked, before, change)
  return onServerOf(context, locked, row, options, async (server, admin) => {
    const found = await findDatabase(context, server, admin, row)
    if (found?.name !== row.database) throw missingError(row)
    const stamp = stampChange(context, row, found, { state: 'active', transition })
    const opening = () => server.apply(admin, [...enableLogin(context, row), stamp])
    return takeTransition(context, locked, before, change, (take) => durablyBoth(locked, admin, opening, take))
  })
}
