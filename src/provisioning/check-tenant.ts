import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import { parseTenantId } from '../kernel/names.ts'
import { unknownTenant } from '../catalog/tenant.ts'
import { stateError } from '../catalog/states.ts'
import type { Comparison } from '../models/port.ts'
import { requireServer } from '../server/require-server.ts'
import type { ProvisioningContext } from './context.ts'
import { look } from './ensure-tables.ts'
import { loginOf } from './separation.ts'

/** What a look at a tenant's database found. */
export interface CheckedTenant extends Comparison {
  readonly outcome: 'matches' | 'differs'
}

/**
 * Compares a tenant's database with the models and touches nothing. It looks as the tenant's own role, where that may log
 * in: the role of the connection may be that of a router, which may connect to no tenant's database itself.
 *
 * @throws `tenant-unknown`, `tenant-state` for one that is not in service, and what may be wrong with a connection
 */
export async function checkTenant(
  context: ProvisioningContext,
  id: string,
  options: Cancellable,
): Promise<CheckedTenant> {
  const tenantId = parseTenantId(id)
  const row = await untilAborted(context.catalog.find(tenantId), options.signal)
  if (row === undefined) throw unknownTenant(tenantId)
  if (row.state !== 'active' && row.state !== 'suspended') throw stateError('check', tenantId, row.state)
  const server = requireServer(context.servers, row.server, tenantId)
  const login = row.state === 'active' ? loginOf(context, row) : undefined
  const session = await server.connect(row.database, { ...options, login })
  try {
    const comparison = await look(session, context.models)
    const differs = comparison.missing.length > 0 || comparison.differing.length > 0
    return { outcome: differs ? 'differs' : 'matches', ...comparison }
  } finally {
    await session.close()
  }
}
