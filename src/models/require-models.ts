import { TenantryError } from '../kernel/errors.ts'
import { hasMethods } from '../kernel/options.ts'
import type { Models, SchemaSource } from './port.ts'

/** The tables of a service, by themselves or with its handles. */
export type WithSchema = SchemaSource | Pick<Models<unknown>, 'schema'>

/** Returns the schema source of what a call was given. @throws `invalid-option` */
export function schemaOf(call: string, models: WithSchema): SchemaSource {
  const schema = partOf(models, 'schema') ?? models
  if (hasMethods(schema, 'fingerprint', 'create')) return schema as SchemaSource
  throw noModels(call)
}

/** Checks that a value has a schema source and a handle factory. @throws `invalid-option` */
export function requireModels(call: string, models: unknown): void {
  const isSchema = hasMethods(partOf(models, 'schema'), 'fingerprint', 'create')
  if (!isSchema || !hasMethods(partOf(models, 'handles'), 'open')) throw noModels(call)
}

function partOf(models: unknown, part: keyof Models<unknown>): unknown {
  return typeof models === 'object' && models !== null ? Reflect.get(models, part) : undefined
}

function noModels(call: string): TenantryError {
  return new TenantryError('invalid-option', `${call} needs models.`, {
    hint: "Give it mikroOrm({ entities: [...] }) from 'tenantry/mikro-orm', or { schema, handles } of two adapters.",
  })
}
