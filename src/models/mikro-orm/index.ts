import { sha256 } from '../../kernel/hash.ts'
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import type { Models, SchemaSource } from '../port.ts'
import { checkMikroOrmOptions, discover, type MikroOrmModelsOptions } from './discovery.ts'
import { hasMigrations, migrationsOf } from './migrations-source.ts'
import { createStatements } from './statements.ts'
import { sharedWithTenant } from './tenant-entity-manager.ts'

export type { MikroOrmModelsOptions } from './discovery.ts'
export type { Models } from '../port.ts'

/**
 * Reads models declared with MikroORM 7, by `defineEntity` or by decorators. Entities are discovered once, at the first
 * use, for all tenants. A tenant's handle is MikroORM's own EntityManager.
 *
 * The tables are those of the entities; if `migrations` has a `path`, `pathTs` or `migrationsList`, those that MikroORM's
 * migrations make. Each database then keeps its history in the table of MikroORM's Migrator, so that both agree. Each
 * `up` runs without a database, when the tables are first needed, and its statements are recorded: it must send the same
 * ones each time, and cannot read rows. All run in one transaction; indexes are created and dropped without CONCURRENTLY.
 *
 * @param options MikroORM's options, without those that Tenantry sets
 * @throws `invalid-option` for an option that Tenantry sets; errors in the entities and migrations themselves
 *   are reported as `models-invalid` by the first call that needs them
 */
export function mikroOrm(options: MikroOrmModelsOptions): Models<EntityManager> {
  const checked = checkMikroOrmOptions(options)
  let discovered: Promise<MikroORM> | undefined
  const orm = () => (discovered ??= discover(checked))
  return {
    schema: hasMigrations(checked) ? migrationsOf(checked, orm) : entitiesOf(orm),
    handles: {
      open: async (pool, tenant) => {
        const root = sharedWithTenant(await orm(), pool, tenant)
        return {
          handle: (signal) => root.fork(signal && { signal, inflightQueryAbortStrategy: 'cancel query' }),
          // If it cannot be rolled back, its connection has ended, and the transaction with it.
          finish: (em) => (em.isInTransaction() ? em.rollback().catch(() => undefined) : undefined),
        }
      },
    },
  }
}

/** Reads the tables of a service from its entities. */
function entitiesOf(orm: () => Promise<MikroORM>): SchemaSource {
  const statements = async () => createStatements(await orm())
  return {
    // The default schema of MikroORM's platform for PostgreSQL, which its statements omit.
    defaultSchema: 'public',
    // Sorted, because the order of the entities does not affect the schema.
    fingerprint: async () => sha256((await statements()).toSorted().join('\n')),
    create: async (session) => session.script(await statements()),
  }
}
