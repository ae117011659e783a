import { TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { Standing } from '../catalog/versions.ts'

/** Throws if a tenant that is in service is not to be worked on. */
export type Condition = (row: TenantRow) => Promise<void>

/**
 * Returns the condition that a tenant has this process's version, or one that comes after it.
 *
 * @param fingerprint the fingerprint of this process's version. If the catalog does not have it, as may be with a router
 *   that started before all others, every tenant is treated as behind
 * @param compare compares a tenant's version with it
 * @param update brings a tenant to it, if it can; a tenant that it cannot is refused
 */
export function refuseBehind(
  fingerprint: string,
  compare: (tenants: string | undefined) => Promise<Standing>,
  update: (row: TenantRow) => Promise<boolean> = async () => false,
): Condition {
  return async (row) => {
    if (row.fingerprint === fingerprint) return
    const { number, isBehind } = await compare(row.fingerprint)
    if (isBehind && !(await update(row))) throw behindError(row, fingerprint, number)
  }
}

function behindError({ id, version, fingerprint }: TenantRow, wanted: string, ours: number | undefined): TenantryError {
  const message = `The tenant ${id} is at ${shown(version, fingerprint)}, and this process wants ${shown(ours, wanted)}.`
  return new TenantryError('tenant-behind', message, {
    tenant: id,
    hint: 'Bring it up to date by a rollout: "tenantry plan", then "tenantry start-rollout". Until then, whenBehind: \'allow\' serves it, if the code of this process works with the older tables.',
  })
}

function shown(number: number | undefined, fingerprint = 'unknown'): string {
  const hash = fingerprint.slice(0, 12)
  return number === undefined ? `a version that the catalog does not know (${hash})` : `version ${number} (${hash})`
}
