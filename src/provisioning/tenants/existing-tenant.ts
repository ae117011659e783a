import { type Cancellable, untilAborted } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import type { TenantId } from '../../kernel/names.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { isInService, stateError } from '../../catalog/states.ts'
import { type TenantRow, unknownTenant } from '../../catalog/tenant.ts'

/**
 * Refuses the id of a new tenant that another one has; one that is being made by the same call is continued.
 *
 * @param isSame true if the existing tenant is the one that the call would make
 * @param hint what is different, otherwise
 * @throws `tenant-exists` for another tenant in service, `tenant-state` for an id that is only reserved
 */
export function refuseAnother(
  verb: 'onboard' | 'clone' | 'adopt',
  row: TenantRow,
  { isSame, hint }: { readonly isSame: boolean; readonly hint: string },
): void {
  if (!isInService(row.state) && !(isSame && row.state === 'onboarding')) throw stateError(verb, row.id, row.state)
  if (!isSame) throw existsError(row, hint)
}

/** Returns the error of a new tenant with another's id. */
export function existsError({ id, state }: TenantRow, hint: string): TenantryError {
  return new TenantryError('tenant-exists', `The tenant ${id} exists already and is ${state}.`, { tenant: id, hint })
}

/** The hint for a call with `existing: 'refuse'`. */
export const refusedHint = "Give the new one another id, or leave out existing: 'refuse' (--refuse-existing)."

/** Returns a tenant in service, for a verb that needs its database. @throws `tenant-unknown`, `tenant-state` */
export async function findInService(
  catalog: Pick<Catalog, 'find'>,
  verb: string,
  id: TenantId,
  { signal }: Cancellable,
): Promise<TenantRow> {
  const row = await untilAborted(catalog.find(id), signal)
  if (row === undefined) throw unknownTenant(id)
  if (!isInService(row.state)) throw stateError(verb, id, row.state)
  return row
}
