import type { Reconciled } from 'tenantry'
import type { PhysicalDatabase, InventoryRecord, TenantRecord } from './records.ts'
import type { World } from './world.ts'

/** The state of the servers, and the findings of `reconcile`. */
export interface Evidence {
  readonly world: World
  readonly tenants: readonly TenantRecord[]
  readonly inventory: readonly InventoryRecord[]
  readonly databases: readonly PhysicalDatabase[]
  /** The findings that the last `reconcile` left to a person. */
  readonly findings: readonly Reconciled[]
}
