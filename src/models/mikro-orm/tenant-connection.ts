import type { AnyEntity, EntityData, QueryResult } from '@mikro-orm/core'
import { type MikroORM, type PoolConfig, PostgreSqlConnection } from '@mikro-orm/postgresql'
import type { PostgresDialect } from 'kysely'
import type { ConnectionPool } from '../../server/port.ts'
import type { TenantIdentity } from '../port.ts'
import { crossTenant, type OfTenant, refuseForeignIn, unlessRefused } from './foreign-entities.ts'
import { asKyselyPool, cursor } from './kysely-pool.ts'
import { QuietDialect } from './quiet-dialect.ts'

type Execute = PostgreSqlConnection['execute']
type Stream = PostgreSqlConnection['stream']

/** The tenants of transactions. A query that names one runs on its connection, from any sender. */
const owners = new WeakMap<object, TenantIdentity>()

/** Refuses a transaction of another tenant. @throws `cross-tenant-entity` */
export function refuseForeignTransaction(ctx: object | undefined, { tenant }: OfTenant): void {
  const owner = ctx && owners.get(ctx)
  if (owner === undefined || tenant === undefined || owner.rowId === tenant.rowId) return
  throw crossTenant('A transaction', owner, tenant)
}

/**
 * A connection that takes its clients from a pool which is not its own to end. It sends no entity of another tenant as a
 * parameter, and nothing in another tenant's transaction.
 */
export class TenantConnection extends PostgreSqlConnection implements OfTenant {
  readonly #pool: ConnectionPool
  readonly tenant: TenantIdentity | undefined

  constructor(orm: MikroORM, pool: ConnectionPool, tenant?: TenantIdentity) {
    super(orm.config)
    this.#pool = pool
    this.tenant = tenant
  }

  override createKyselyDialect(_overrides: PoolConfig): PostgresDialect {
    return new QuietDialect({ pool: asKyselyPool(this.#pool), cursor })
  }

  override async begin(...args: Parameters<PostgreSqlConnection['begin']>): ReturnType<PostgreSqlConnection['begin']> {
    refuseForeignTransaction(args[0]?.ctx, this)
    const transaction = await super.begin(...args)
    if (this.tenant !== undefined) owners.set(transaction, this.tenant)
    return transaction
  }

  override execute<
    Result extends QueryResult | EntityData<AnyEntity> | EntityData<AnyEntity>[] = EntityData<AnyEntity>[],
  >(...args: Parameters<Execute>): Promise<Result> {
    const refuse = () => {
      const [query, params] = args
      refuseForeignTransaction(args[3] as object | undefined, this)
      refuseForeignIn([query, params], this)
    }
    return unlessRefused(refuse, () => super.execute<Result>(...args))
  }

  override async *stream<Row extends EntityData<AnyEntity>>(...args: Parameters<Stream>): AsyncIterableIterator<Row> {
    const [query, params, ctx] = args
    refuseForeignTransaction(ctx, this)
    refuseForeignIn([query, params], this)
    yield* super.stream<Row>(...args)
  }
}
