import { postgres } from 'tenantry/postgres'
import { ServerBudget } from '../../dist/routing/server-budget.js'
import { TenantPool } from '../../dist/routing/tenant-pool.js'
import { fixed } from '../routing/budget.ts'
import { to } from '../routing/fake-server.ts'
import { identifier } from '../support/names.ts'
import { afterwards, serverUrl } from '../support/server.ts'

/** Returns the pool that an adapter gets for a tenant of this database, on a budget of its own; closed afterwards. */
export function tenantPool(database: string, max = 10): TenantPool {
  const budget = new ServerBudget({ server: postgres({ url: serverUrl() }), waitMs: 10_000 }, fixed(max))
  afterwards(() => budget.close(1_000))
  const admission = { row: { ...to('a'), database: identifier(database) }, isValid: () => true }
  return new TenantPool(budget, { gate: () => admission, loginOf: () => undefined, scope: () => undefined })
}
