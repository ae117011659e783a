import type { ConnectionPool } from '../server/port.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'

/** Returns the running number of a version; undefined if the catalog does not have this fingerprint. */
export async function versionNumber(pool: ConnectionPool, fingerprint: string): Promise<number | undefined> {
  const row = await openCatalogDatabase(pool)
    .selectFrom('version')
    .select('number')
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst()
  return row?.number
}
