import { TenantryError } from '../kernel/errors.ts'

/** Returns the error of every call after `close`. */
export function closedError(): TenantryError {
  return new TenantryError('closed', 'Tenantry is closed.', { hint: 'Open it again with openTenantry().' })
}
