import { TenantryError } from '../kernel/errors.ts'
import { hasMethods, readable } from '../kernel/options.ts'
import type { Models, SchemaSource } from './port.ts'

/** The tables of a service, by themselves or with its handles. */
export type WithSchema = SchemaSource | Pick<Models<unknown>, 'schema'>

/** Returns the schema source of what a call was given. @throws `invalid-option` */
export function schemaOf(call: string, models: WithSchema): SchemaSource {
  const schema = modelsPart(models, 'schema') ?? models
  if (hasMethods(schema, 'fingerprint', 'create')) return schema as SchemaSource
  throw noModels(call)
}

/** Checks that a value has a schema source and a handle factory. @throws `invalid-option` */
export function requireModels(call: string, models: unknown): void {
  const isSchema = hasMethods(modelsPart(models, 'schema'), 'fingerprint', 'create')
  if (!isSchema || !hasMethods(modelsPart(models, 'handles'), 'open')) throw noModels(call)
}

function modelsPart(models: unknown, part: keyof Models<unknown>): unknown {
  if (typeof models !== 'object' || models === null) return undefined
  return readable('What is given', (): unknown => Reflect.get(models, part))
}

function noModels(call: string): TenantryError {
  return new TenantryError('invalid-option', `${call} needs models.`, {
    hint: "Give it mikroOrm({ entities: [...] }) from 'tenantry/mikro-orm', or { schema, handles } of two adapters.",
  })
}
