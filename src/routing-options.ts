import { physicalNames } from './kernel/names.ts'
import { countByServer } from './catalog/fleet.ts'
import type { TenantFilter } from './catalog/listing.ts'
import type { TenantRow } from './catalog/tenant.ts'
import { openCatalogDatabase } from './catalog/open-catalog-database.ts'
import { compareVersions } from './catalog/versions.ts'
import type { CheckedConfig } from './read-config.ts'
import type { Opening } from './opening.ts'
import { catalogConnections } from './own-connections.ts'
import type { ProvisioningContext } from './provisioning/context.ts'
import { loginOf } from './provisioning/roles/separation.ts'
import { refuseBehind } from './routing/refuse-behind.ts'
import type { RoutingOptions } from './routing/router.ts'
import type { ConnectionPool } from './server/port.ts'

/** The numbers of tenants, handles and domains that a process remembers. */
const kept = { keptTenants: 10_000, keptHandles: 1_000, keptDomains: { known: 10_000, unknown: 1_000 } }

type Needed<Handle> = CheckedConfig<Handle> & Opening & Pick<ProvisioningContext, 'home' | 'servers'>

/**
 * Returns the options of routing, from the configuration and the catalog.
 *
 * @param update brings a tenant to this process's version; false if it cannot
 */
export function routingOptions<Handle>(
  parts: Needed<Handle>,
  catalog: ConnectionPool,
  update: (row: TenantRow) => Promise<boolean>,
): Omit<RoutingOptions<Handle>, 'scope' | 'catalog' | 'domains' | 'onLongLease'> {
  const { installation, mode, whenBehind, fingerprint, pool } = parts
  return {
    ...parts,
    ...kept,
    ...pool,
    handles: parts.models.handles,
    catalogDatabase: physicalNames.catalog(installation),
    catalogConnections,
    loginOf: (row: TenantRow, which: 'current' | 'pending') => loginOf(parts, row, which),
    countFleet: (filter: TenantFilter) => countByServer(catalog, filter),
    condition:
      whenBehind === 'allow'
        ? undefined
        : refuseBehind(
            fingerprint,
            (tenants) => compareVersions(openCatalogDatabase(catalog), tenants, fingerprint),
            whenBehind === 'update' && mode === 'full' ? update : undefined,
          ),
  }
}
