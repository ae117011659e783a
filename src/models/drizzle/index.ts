import * as v from 'valibot'
import type { DrizzleConfig } from 'drizzle-orm'
import { drizzle as drizzleOn, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { must, objectOption, readOptions } from '../../kernel/options.ts'
import { handlesOver } from '../handles-over.ts'
import type { Models } from '../port.ts'
import { declaredTables } from './declared-tables.ts'
import { DrizzlePool } from './drizzle-pool.ts'

export type { Models } from '../port.ts'

/** Drizzle's options. */
export interface DrizzleOptions<Schema extends Record<string, unknown>> extends DrizzleConfig<Schema> {}

/**
 * Gives each tenant the tables of a Drizzle schema, and its work Drizzle's own database, relational queries included.
 *
 * The tables are those that drizzle-kit generates from `schema`; it has to be installed where templates are built or
 * databases are compared.
 *
 * @param options Drizzle's `schema`, `casing`, `logger` and `cache`, shared by all tenants
 * @throws `invalid-option`; a schema that cannot be used is reported as `models-invalid` by the first call
 *   that needs it
 */
export function drizzle<Schema extends Record<string, unknown> = Record<string, never>>(
  options: DrizzleOptions<Schema>,
): Models<NodePgDatabase<Schema>> {
  const config = readOptions('The argument of drizzle()', optionsSchema, options) as DrizzleOptions<Schema>
  return {
    schema: declaredTables(config.schema ?? {}, config.casing),
    handles: handlesOver((pool) => drizzleOn(new DrizzlePool(pool).asClient(), config)),
  }
}

const optionsSchema = v.pipe(
  objectOption<DrizzleOptions<Record<string, unknown>>>('Write drizzle({ schema }).'),
  v.check(
    (given) => !('client' in given || 'connection' in given),
    must('without a client', 'Tenantry sets it for each tenant.'),
  ),
)
