import type { EntityManager as CoreEntityManager } from '@mikro-orm/core'
import { TenantryError } from '../../kernel/errors.ts'
import {
  type DriverException,
  EntityManager,
  type MikroORM,
  type PoolConfig,
  PostgreSqlConnection,
  PostgreSqlDriver,
  type AbstractSqlPlatform,
} from '@mikro-orm/postgresql'
import { PostgresDialect } from 'kysely'
import type { ConnectionPool } from '../../server/port.ts'
import { asKyselyPool, cursor } from './kysely-pool.ts'

/**
 * A tenant's root EntityManager: it shares configuration, platform and discovered metadata with all others, and has a
 * driver and a connection of its own, so that making one costs microseconds and a few kilobytes.
 */
export function sharedWithTenant(orm: MikroORM, pool: ConnectionPool, tenant: string): EntityManager {
  return new TenantDriver(orm, pool, tenant).createEntityManager(false)
}

/** A driver that reaches one tenant's database only. */
class TenantDriver extends PostgreSqlDriver {
  override readonly platform: AbstractSqlPlatform
  protected override readonly connection: TenantConnection
  readonly tenant: string

  constructor(orm: MikroORM, pool: ConnectionPool, tenant: string) {
    super(orm.config)
    this.tenant = tenant
    this.platform = orm.driver.getPlatform()
    this.connection = new TenantConnection(orm, pool)
    this.setMetadata(orm.getMetadata())
  }

  /** Our own errors, such as that no connection was free, reach the service as they are; others keep their cause. */
  override convertException(exception: Error): DriverException {
    if (exception instanceof TenantryError) return exception as Error
    const converted = super.convertException(exception)
    if (converted !== exception) converted.cause ??= exception
    return converted
  }
}

/** A connection that takes its clients from a pool which is not its own to end. */
export class TenantConnection extends PostgreSqlConnection {
  readonly #pool: ConnectionPool

  constructor(orm: MikroORM, pool: ConnectionPool) {
    super(orm.config)
    this.#pool = pool
  }

  override createKyselyDialect(_overrides: PoolConfig): PostgresDialect {
    return new PostgresDialect({ pool: asKyselyPool(this.#pool), cursor })
  }
}

/**
 * MikroORM's EntityManager, with what it keeps process-wide kept apart by tenant.
 *
 * Its name is the key under which MikroORM looks for the EntityManager of the current transaction or request: under a
 * shared one, a tenant's work inside another tenant's transaction would run there. The result cache is one for all, so
 * its keys carry the tenant. Forks are made by this constructor as well.
 */
export class TenantEntityManager extends EntityManager {
  override readonly name: string

  constructor(...args: ConstructorParameters<typeof EntityManager>) {
    super(...args)
    const driver: unknown = this.getDriver()
    this.name = driver instanceof TenantDriver ? `tenantry:${driver.tenant}` : 'tenantry'
  }

  override tryCache: CoreEntityManager['tryCache'] = (entityName, config, key, refresh, merge) => {
    const cache = config ?? this.config.get('resultCache').global
    const named = Array.isArray(cache) ? ([this.#key(cache[0]), cache[1]] as [string, number]) : cache
    return super.tryCache(entityName, named, [this.name, key], refresh, merge)
  }

  override clearCache(cacheKey: string): Promise<void> {
    return super.clearCache(this.#key(cacheKey))
  }

  #key(key: string): string {
    return `${this.name}:${key}`
  }
}
