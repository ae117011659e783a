import { TenantryError } from '../kernel/errors.ts'

/** The error of every call that comes after `close`. */
export function closedError(): TenantryError {
  return new TenantryError('closed', 'Tenantry is closed.', { hint: 'Open it again with openTenantry().' })
}
