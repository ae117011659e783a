import { TenantryError } from '../kernel/errors.ts'
import type { Models } from './port.ts'

/** Checks that a value is what an adapter of models gives. @throws `invalid-option` */
export function requireModels(call: string, models: Models<unknown> | undefined): void {
  if (typeof models?.fingerprint === 'function') return
  throw new TenantryError('invalid-option', `${call} needs models.`, {
    hint: "Give it mikroOrm({ entities: [...] }) from 'tenantry/mikro-orm'.",
  })
}
