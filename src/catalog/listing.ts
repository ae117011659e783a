import { type ExpressionBuilder, type Kysely, type SelectQueryBuilder, sql } from 'kysely'
import type { TenantState } from './states.ts'
import type { CatalogTables } from './tables.ts'

/** A filter on tenants; an absent part matches all. */
export interface TenantFilter {
  readonly states?: readonly TenantState[] | undefined
  /** The name of a server. */
  readonly server?: string | undefined
  /** The fingerprint of the models, or the running number of their version. */
  readonly version?: string | number | undefined
  /** Metadata that a tenant's must contain (PostgreSQL's `@>`). */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** Text that the id or the display name must contain, in upper or lower case. */
  readonly search?: string | undefined
  /** Only tenants that `purgeExpired` would take. */
  readonly expired?: boolean | undefined
}

/** Columns selected besides those of the tenant's own row. */
export const alsoSelected = [
  'server.name as server',
  'version.number as version',
  'credential.sealed',
  'credential.pending',
] as const

/** All tenants, each with its server, its version and its role's password. */
export function tenantsOf(db: Kysely<CatalogTables>) {
  return db
    .selectFrom('tenant')
    .innerJoin('server', 'server.id', 'tenant.server_id')
    .leftJoin('version', 'version.fingerprint', 'tenant.fingerprint')
    .leftJoin('credential', 'credential.row_id', 'tenant.row_id')
    .selectAll('tenant')
    .select(alsoSelected)
}

type Tables = CatalogTables & { version: CatalogTables['version'] | { number: number | null } }
type Joined = ExpressionBuilder<Tables, 'tenant' | 'server' | 'version'>

/** Applies the filter to a query over tenants, servers and versions. */
export function filtered<DB, TB extends keyof DB, Output>(
  query: SelectQueryBuilder<DB, TB, Output>,
  filter: TenantFilter,
): SelectQueryBuilder<DB, TB, Output> {
  const { states, server, version, metadata, search, expired } = filter
  // The joined tables are the same in every query here; their types differ by the selected columns.
  return query.where((eb) => {
    const on = eb as unknown as Joined
    return on.and([
      ...(states === undefined ? [] : [on('tenant.state', 'in', states)]),
      // As a value, not by the join: so the index over a server's tenants gives them in order.
      ...(server === undefined ? [] : [on('tenant.server_id', '=', versionIdOf(on, server))]),
      ...(typeof version === 'string' ? [on('tenant.fingerprint', '=', version)] : []),
      ...(typeof version === 'number' ? [on('version.number', '=', version)] : []),
      ...(metadata === undefined ? [] : [sql<boolean>`tenant.metadata @> ${JSON.stringify(metadata)}::jsonb`]),
      ...(expired
        ? [sql<boolean>`(tenant.state = 'purging' or tenant.state = 'offboarded' and tenant.purge_after <= now())`]
        : []),
      ...(search === undefined ? [] : [containing(on, search)]),
    ])
  })
}

function versionIdOf(on: Joined, server: string) {
  return on.selectFrom('server as named').select('named.id').where('named.name', '=', server)
}

function containing(on: Joined, text: string) {
  const pattern = `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`
  return on.or([on('tenant.id', 'ilike', pattern), on('tenant.display_name', 'ilike', pattern)])
}
