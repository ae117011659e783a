import { TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'

/** Throws if a tenant that is in service is not to be worked on. */
export type Condition = (row: TenantRow) => Promise<void>

/**
 * Returns the condition that a tenant is not behind this process's version.
 *
 * @param fingerprint the version's fingerprint
 * @param numberOf returns its running number in the catalog; undefined for a version that the catalog does not know,
 *   such as that of a router that started before all others. Every tenant is then treated as behind
 */
export function refuseBehind(
  fingerprint: string,
  numberOf: (fingerprint: string) => Promise<number | undefined>,
): Condition {
  let ours: number | undefined
  return async (row) => {
    if (row.fingerprint === fingerprint) return
    // The number of a version never changes.
    ours ??= await numberOf(fingerprint)
    if (row.version === undefined || ours === undefined || row.version < ours) throw behindError(row, fingerprint, ours)
  }
}

function behindError({ id, version, fingerprint }: TenantRow, wanted: string, ours: number | undefined): TenantryError {
  const message = `The tenant ${id} is at ${shown(version, fingerprint)}, and this process wants ${shown(ours, wanted)}.`
  return new TenantryError('tenant-behind', message, {
    tenant: id,
    hint: "Open this process with whenBehind: 'allow' if its code works with the older tables, or let a process of the tenant's version serve it. After a change of its tables by hand, tenants.accept() or \"tenantry accept\" records its version.",
  })
}

function shown(number: number | undefined, fingerprint = 'unknown'): string {
  const hash = fingerprint.slice(0, 12)
  return number === undefined ? `a version that the catalog does not know (${hash})` : `version ${number} (${hash})`
}
