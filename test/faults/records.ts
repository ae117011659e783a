import type { TenantState } from 'tenantry'

/** A database as the server has it. */
export interface PhysicalDatabase {
  readonly name: string
  readonly oid: number
  readonly isOpen: boolean
  readonly isTemplate: boolean
  readonly isInvalid: boolean
  readonly comment: string | null
}

/** A tenant's row in the catalog. */
export interface TenantRecord {
  readonly id: string
  readonly rowId: string
  readonly state: TenantState
  readonly database: string
}

/** A row of a template or a spare. */
export interface InventoryRecord {
  readonly kind: 'template' | 'spare'
  readonly rowId: string
  readonly state: string
}

/** A look past Tenantry at the servers. */
export interface Look {
  readonly tenant: (id: string) => Promise<TenantRecord | undefined>
  readonly databases: () => Promise<PhysicalDatabase[]>
  /** Runs a statement as the superuser, in `postgres` or the given database. */
  readonly sql: <Row extends object>(statement: string, params?: unknown[], database?: string) => Promise<Row[]>
}
