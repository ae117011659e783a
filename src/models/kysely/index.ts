import { Kysely, type KyselyConfig, PostgresDialect, type PostgresPool } from 'kysely'
import Cursor from 'pg-cursor'
import { invalidOption, objectOption } from '../../kernel/option-checks.ts'
import { handlesOver } from '../handles-over.ts'
import type { HandleFactory } from '../port.ts'

export type { HandleFactory } from '../port.ts'

/** Kysely's options, without the dialect, which Tenantry sets. */
export type KyselyOptions = Omit<KyselyConfig, 'dialect'>

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
  const read = objectOption('The argument of kysely()', options)
  if ('dialect' in read)
    throw invalidOption('The argument of kysely()', 'no dialect', 'Tenantry sets it for each tenant.')
  return handlesOver((pool) => {
    // Kysely's name for a pool; ours has all that it uses.
    const dialect = new PostgresDialect({ pool: pool as unknown as PostgresPool, cursor: Cursor })
    return new Kysely<Database>({ ...read, dialect })
  })
}
