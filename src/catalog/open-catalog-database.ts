import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'
import type { ConnectionPool } from '../server/port.ts'
import type { CatalogTables } from './tables.ts'

/** The catalog's tables, over a pool or over one session. */
export function openCatalogDatabase(pool: ConnectionPool): Kysely<CatalogTables> {
  // Kysely's name for a pool; ours has all that it uses.
  const dialect = new PostgresDialect({ pool: pool as unknown as PostgresPool })
  return new Kysely<CatalogTables>({ dialect }).withSchema('tenantry')
}
