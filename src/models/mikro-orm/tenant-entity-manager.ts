import type { EntityManager as CoreEntityManager, Transaction } from '@mikro-orm/core'
import { TenantryError } from '../../kernel/errors.ts'
import {
  type AbstractSqlPlatform,
  type DriverException,
  EntityManager,
  type MikroORM,
  PostgreSqlDriver,
} from '@mikro-orm/postgresql'
import type { ConnectionPool } from '../../server/port.ts'
import type { TenantIdentity } from '../port.ts'
import { noteLoader, type OfTenant, refuseForeignIn } from './foreign-entities.ts'
import { refuseForeignTransaction, TenantConnection } from './tenant-connection.ts'
import { guardMethods, guardParts, guardQuery } from './tenant-parts.ts'

/**
 * A tenant's root EntityManager: it shares configuration, platform and discovered metadata with all others, and has a
 * driver and a connection of its own, so that making one costs microseconds and a few kilobytes.
 */
export function sharedWithTenant(orm: MikroORM, pool: ConnectionPool, tenant: TenantIdentity): EntityManager {
  return new TenantDriver(orm, pool, tenant).createEntityManager(false)
}

/** A driver that reaches one tenant's database only. */
class TenantDriver extends PostgreSqlDriver implements OfTenant {
  override readonly platform: AbstractSqlPlatform
  protected override readonly connection: TenantConnection
  readonly tenant: TenantIdentity

  constructor(orm: MikroORM, pool: ConnectionPool, tenant: TenantIdentity) {
    super(orm.config)
    this.tenant = tenant
    this.platform = orm.driver.getPlatform()
    this.connection = new TenantConnection(orm, pool, tenant)
    this.setMetadata(orm.getMetadata())
  }

  override createQueryBuilder: PostgreSqlDriver['createQueryBuilder'] = (entityName, ...rest) => {
    // Another query may stand in for the entity.
    refuseForeignIn([entityName], this)
    return guardQuery(super.createQueryBuilder(entityName, ...rest))
  }

  /** Our own errors, such as that no connection was free, reach the service as they are; others keep their cause. */
  override convertException(exception: Error): DriverException {
    if (exception instanceof TenantryError) return exception as Error
    const converted = super.convertException(exception)
    if (converted !== exception) converted.cause ??= exception
    return converted
  }
}

/**
 * MikroORM's EntityManager. It separates MikroORM's process-wide state by tenant, and refuses entities of other
 * tenants. Its name is the key under which MikroORM looks for the EntityManager of the current transaction or request:
 * under a shared one, a tenant's work inside another tenant's transaction would run there. The result cache is one for
 * all, so its keys carry the tenant. Forks are made by this constructor as well.
 */
export class TenantEntityManager extends EntityManager implements OfTenant {
  // Methods that are missing here call one of these with their arguments, or take no entity.
  static {
    guardMethods(this, {
      throwing: ['addFilter', 'assign', 'create', 'getReference', 'merge', 'persist', 'remove', 'setFilterParams'],
      rejecting: [
        'applyFilters',
        'callRoutine',
        'clone',
        'count',
        'countBy',
        'find',
        'findAndCount',
        'findOne',
        'insert',
        'insertMany',
        'nativeDelete',
        'nativeUpdate',
        'populate',
        'upsert',
        'upsertMany',
      ],
    })
  }

  override readonly name: string
  readonly tenant: TenantIdentity | undefined

  constructor(...args: ConstructorParameters<typeof EntityManager>) {
    super(...args)
    const driver: unknown = this.getDriver()
    this.tenant = driver instanceof TenantDriver ? driver.tenant : undefined
    // By the row, since another tenant may get the id.
    this.name = this.tenant === undefined ? 'tenantry' : `tenantry:${this.tenant.rowId}`
    guardParts(this)
  }

  override stream: CoreEntityManager['stream'] = (entityName, options) =>
    this.#noted(super.stream(entityName, options), options)

  override tryCache: CoreEntityManager['tryCache'] = (entityName, config, key, refresh, merge) => {
    const cache = config ?? this.config.get('resultCache').global
    const named = Array.isArray(cache) ? ([this.#key(cache[0]), cache[1]] as [string, number]) : cache
    return super.tryCache(entityName, named, [this.name, key], refresh, merge)
  }

  override clearCache(cacheKey: string): Promise<void> {
    return super.clearCache(this.#key(cacheKey))
  }

  override setTransactionContext(ctx: Transaction): void {
    refuseForeignTransaction(ctx as object | undefined, this)
    super.setTransactionContext(ctx)
  }

  async *#noted<Entity>(entities: AsyncIterableIterator<Entity>, options: unknown): AsyncIterableIterator<Entity> {
    refuseForeignIn([options], this)
    for await (const entity of entities) {
      noteLoader(entity as object, this)
      yield entity
    }
  }

  #key(key: string): string {
    return `${this.name}:${key}`
  }
}
