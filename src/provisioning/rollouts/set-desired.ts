import { TenantryError } from '../../kernel/errors.ts'
import type { Version } from '../../catalog/versions.ts'
import type { ProvisioningContext } from '../context.ts'

/** The result of setting the desired version. */
export interface DesiredSet {
  readonly outcome: 'set' | 'already-set'
  readonly version: Version
}

/** Sets the version that all tenants are to have. */
export async function setDesired({ catalog }: ProvisioningContext, version: number | string): Promise<DesiredSet> {
  const found = await catalog.setDesired(version)
  if (found === undefined) {
    throw new TenantryError('version-unknown', `There is no version ${version}.`, {
      hint: 'status() and "tenantry status" show the versions. A process declares its own when it opens.',
    })
  }
  const { wasSet, number, fingerprint } = found
  return { outcome: wasSet ? 'already-set' : 'set', version: { number, fingerprint } }
}
