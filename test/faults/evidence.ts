import type { Reconciled } from 'tenantry'
import type { PhysicalDatabase, InventoryRecord, TenantRecord } from './records.ts'
import type { World } from './world.ts'

/** What is there, and what `reconcile` said of it. */
export interface Evidence {
  readonly world: World
  readonly tenants: readonly TenantRecord[]
  readonly inventory: readonly InventoryRecord[]
  readonly databases: readonly PhysicalDatabase[]
  /** What the last `reconcile` left to a person. */
  readonly findings: readonly Reconciled[]
}
