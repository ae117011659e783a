import type { EntityManager } from '@mikro-orm/postgresql'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { type Generated, Kysely, PostgresDialect } from 'kysely'
import { mikroOrm, type Models } from 'tenantry/mikro-orm'
import { Address, User } from '../models/mikro-orm.ts'

/** The source of a tenant's connections, in the shape of a `pg` pool. */
export type TenantPool = Parameters<Models<EntityManager>['open']>[0]

/**
 * Returns the models of the bench with a handle that is made of a tenant's pool, not MikroORM's: to measure routing by
 * itself, and with another library on top. Tables are still made by MikroORM.
 */
function handing<Handle>(toHandle: (pool: TenantPool) => Handle): Models<Handle> {
  const models = mikroOrm({ entities: [User, Address] })
  return {
    defaultSchema: models.defaultSchema,
    fingerprint: () => models.fingerprint(),
    createStatements: () => models.createStatements(),
    open: async (pool) => {
      const handle = toHandle(pool)
      return { handle: () => handle, finish: () => undefined }
    },
  }
}

interface Tables {
  readonly user_account: { readonly id: Generated<number>; readonly name: string; readonly fullname: string | null }
}

/** Kysely on a tenant's pool, which is as Kysely wants it, but for its types. */
export const kyselyModels = () =>
  handing((pool) => new Kysely<Tables>({ dialect: new PostgresDialect({ pool: pool as never }) }))

/** Drizzle on a tenant's pool, which is as Drizzle wants it, but for its types. */
export const drizzleModels = () => handing<NodePgDatabase>((pool) => drizzle(pool as never))

/** The pool itself. */
export const plainModels = () => handing((pool) => pool)
