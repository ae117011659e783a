import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import { parseTenantId } from '../kernel/names.ts'
import { type TenantRow, unknownTenant } from '../catalog/tenant.ts'
import { stateError } from '../catalog/states.ts'
import type { Comparison } from '../models/port.ts'
import type { Server, Session } from '../server/port.ts'
import type { WrongPrivileges } from '../server/wrong-privileges.ts'
import { requireServer } from '../server/require-server.ts'
import type { ProvisioningContext } from './context.ts'
import { look } from './ensure-tables.ts'
import { loginOf } from './separation.ts'

/** What a look at a tenant's database found. */
export interface CheckedTenant extends Comparison {
  readonly outcome: 'matches' | 'differs'
  /** Objects that the tenant cannot use because of their owner or grants. Empty where it shares the role of the connection. */
  readonly privileges: readonly WrongPrivileges[]
}

/**
 * Compares a tenant's database with the models, and its owners and grants with what Tenantry gives; touches nothing. It looks as the tenant's own role, where that may log
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
    const privileges = await wrongPrivilegesOf(context, row, server, session, comparison)
    const wrong = [comparison.missing, comparison.differing, privileges]
    return { outcome: wrong.some(({ length }) => length > 0) ? 'differs' : 'matches', ...comparison, privileges }
  } finally {
    await session.close()
  }
}

async function wrongPrivilegesOf(
  { separation, models }: ProvisioningContext,
  { credential }: TenantRow,
  server: Server,
  session: Session,
  { existing, differing }: Comparison,
): Promise<readonly WrongPrivileges[]> {
  if (separation === undefined || credential === undefined) return []
  const tables = [...existing, ...differing].filter(({ kind }) => kind === 'table').map(({ name }) => name)
  const qualified = tables.map((name) => (name.includes('.') ? name : `${models.defaultSchema}.${name}`))
  return server.roles.wrongPrivileges(session, separation.groups, qualified)
}
