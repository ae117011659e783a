import { createHash } from 'node:crypto'
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import type { ConnectionPool } from '../../server/port.ts'
import type { Models, OpenModels, TenantIdentity } from '../port.ts'
import { checkOptions, discover, type MikroOrmModelsOptions } from './discovery.ts'
import { createStatements } from './statements.ts'
import { sharedWithTenant } from './tenant-entity-manager.ts'

export type { MikroOrmModelsOptions } from './discovery.ts'
export type { Models, OpenModels, TenantIdentity } from '../port.ts'

/**
 * Reads models declared with MikroORM 7, by `defineEntity` or by decorators. Entities are discovered once, at the first
 * use, for all tenants. A tenant's handle is MikroORM's own EntityManager.
 *
 * @param options MikroORM's options, without those that Tenantry sets
 * @throws `invalid-option` for an option that Tenantry sets; errors in the entities themselves are reported as
 *   `models-invalid` by the first call that needs them
 */
export function mikroOrm(options: MikroOrmModelsOptions): Models<EntityManager> {
  return new MikroOrmModels(checkOptions(options))
}

class MikroOrmModels implements Models<EntityManager> {
  /** The default schema of MikroORM's platform for PostgreSQL, which its statements omit. */
  readonly defaultSchema = 'public'
  readonly #options: MikroOrmModelsOptions
  #discovered: Promise<MikroORM> | undefined

  constructor(options: MikroOrmModelsOptions) {
    this.#options = options
  }

  async fingerprint(): Promise<string> {
    const statements = await this.createStatements()
    // Sorted, because the order of the entities does not affect the schema.
    return createHash('sha256').update(statements.toSorted().join('\n')).digest('hex')
  }

  async createStatements(): Promise<readonly string[]> {
    return createStatements(await this.#orm())
  }

  async open(pool: ConnectionPool, tenant: TenantIdentity): Promise<OpenModels<EntityManager>> {
    const root = sharedWithTenant(await this.#orm(), pool, tenant)
    return {
      handle: (signal) => root.fork(signal && { signal, inflightQueryAbortStrategy: 'cancel query' }),
      // If it cannot be rolled back, its connection has ended, and the transaction with it.
      finish: (em) => (em.isInTransaction() ? em.rollback().catch(() => undefined) : undefined),
    }
  }

  #orm(): Promise<MikroORM> {
    this.#discovered ??= discover(this.#options)
    return this.#discovered
  }
}
