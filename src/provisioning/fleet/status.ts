import { type Cancellable, untilAborted } from '../../kernel/abort.ts'
import { physicalNames } from '../../kernel/names.ts'
import { type Status, summarise, summariseInventory } from '../../catalog/status.ts'
import type { ProvisioningContext } from '../context.ts'

/**
 * Returns the figures of an installation.
 *
 * @param wanted the number of spares that this process keeps
 */
export async function statusOf(
  { catalog, inventory, installation, home, fingerprint }: ProvisioningContext,
  roles: 'separate' | 'shared',
  wanted: number,
  { signal }: Cancellable,
): Promise<Status> {
  const counts = await untilAborted(catalog.count(), signal)
  const { migration, desired } = await untilAborted(catalog.heads(), signal)
  const sparePools = await untilAborted(inventory.counts(), signal)
  return {
    installation,
    catalog: { server: home.name, database: physicalNames.catalog(installation), migration },
    roles,
    desired,
    ...summarise(counts, fingerprint),
    ...summariseInventory(sparePools, fingerprint, wanted),
  }
}
