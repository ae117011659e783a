import * as v from 'valibot'
import { Kysely, type KyselyConfig, PostgresDialect, type PostgresPool } from 'kysely'
import Cursor from 'pg-cursor'
import { must, objectOption, readOptions } from '../../kernel/options.ts'
import { handlesOver } from '../handles-over.ts'
import type { HandleFactory } from '../port.ts'

export type { HandleFactory, SchemaSource } from '../port.ts'
export { kyselyMigrations, type KyselyMigrationsOptions } from './migrations.ts'

/** Kysely's options, without the dialect, which Tenantry sets. */
export type KyselyOptions = Omit<KyselyConfig, 'dialect'>

const optionsSchema = v.pipe(
  objectOption<KyselyOptions>(),
  v.check((given) => !('dialect' in given), must('without a dialect', 'Tenantry sets it for each tenant.')),
)

/**
 * Gives each tenant's work Kysely's own `Kysely<Database>`. It has no tables of its own: give `openTenantry` the models
 * `{ schema, handles: kysely<Database>() }`.
 *
 * A transaction of `startTransaction()` has to be ended by the work itself.
 *
 * @param options Kysely's options, such as plugins; shared by all tenants
 * @throws `invalid-option` for a dialect
 */
export function kysely<Database>(options: KyselyOptions = {}): HandleFactory<Kysely<Database>> {
  const read = readOptions('The argument of kysely()', optionsSchema, options)
  return handlesOver((pool) => {
    // Kysely's name for a pool; ours has all that it uses.
    const dialect = new PostgresDialect({ pool: pool as unknown as PostgresPool, cursor: Cursor })
    return new Kysely<Database>({ ...read, dialect })
  })
}
