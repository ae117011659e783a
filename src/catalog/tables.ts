import type { ColumnType, Generated } from 'kysely'

/** The states of a tenant. */
export type TenantState = 'onboarding' | 'active' | 'suspended' | 'offboarded' | 'purging'

/** The catalog's tables, all in the schema `tenantry`, as Kysely sees them. */
export interface CatalogTables {
  installation: { id: Generated<string>; name: string }
  server: { id: Generated<number>; name: string; state: Generated<'open' | 'closed'> }
  version: { number: Generated<number>; fingerprint: string }
  tenant: {
    row_id: Generated<string>
    id: string
    display_name: string | null
    metadata: ColumnType<Record<string, unknown>, string, string>
    state: Generated<TenantState>
    server_id: number
    database: string
    fingerprint: string | null
    created_at: Generated<Date>
    activated_at: Date | null
  }
}
