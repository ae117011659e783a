import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Generated, Kysely } from 'kysely'
import { type ConnectionPool, handlesOver, type Models } from 'tenantry'
import { kysely } from 'tenantry/kysely'
import { mikroOrm } from 'tenantry/mikro-orm'
import { pgPool } from 'tenantry/postgres'
import { Address, User } from '../models/mikro-orm.ts'

// Handles that are not MikroORM's, on the tables that it makes: to measure routing by itself, and with another library on
// top.

const { schema } = mikroOrm({ entities: [User, Address] })

interface Tables {
  readonly user_account: { readonly id: Generated<number>; readonly name: string; readonly fullname: string | null }
}

export const kyselyModels = (): Models<Kysely<Tables>> => ({ schema, handles: kysely<Tables>() })

export const drizzleModels = (): Models<NodePgDatabase> => ({
  schema,
  handles: handlesOver((pool) => drizzle({ client: pgPool(pool) })),
})

/** The pool itself. */
export const plainModels = (): Models<ConnectionPool> => ({ schema, handles: handlesOver((pool) => pool) })
