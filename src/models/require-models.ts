import { TenantryError } from '../kernel/errors.ts'
import { hasMethods } from '../kernel/options.ts'

/** Checks that a value is what an adapter of models gives. @throws `invalid-option` */
export function requireModels(call: string, models: unknown): void {
  if (hasMethods(models, 'fingerprint', 'createStatements', 'open')) return
  throw new TenantryError('invalid-option', `${call} needs models.`, {
    hint: "Give it mikroOrm({ entities: [...] }) from 'tenantry/mikro-orm'.",
  })
}
