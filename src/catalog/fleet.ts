import type { ConnectionPool } from '../server/port.ts'
import { filtered, type TenantFilter } from './listing.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'

/** Returns the number of matching tenants on each server that has any, by its name. */
export async function countByServer(pool: ConnectionPool, filter: TenantFilter): Promise<ReadonlyMap<string, number>> {
  const counted = openCatalogDatabase(pool)
    .selectFrom('tenant')
    .innerJoin('server', 'server.id', 'tenant.server_id')
    .leftJoin('version', 'version.fingerprint', 'tenant.fingerprint')
    .select((eb) => ['server.name', eb.fn.countAll<string>().as('tenants')])
  const rows = await filtered(counted, filter).groupBy('server.name').orderBy('server.name').execute()
  return new Map(rows.map(({ name, tenants }) => [name, Number(tenants)]))
}
