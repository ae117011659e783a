import type { ConnectionPool } from '../server/port.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'

/** The running number of a version; undefined where the catalog has none of this fingerprint. */
export async function versionNumber(pool: ConnectionPool, fingerprint: string): Promise<number | undefined> {
  const row = await openCatalogDatabase(pool)
    .selectFrom('version')
    .select('number')
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst()
  return row?.number
}
