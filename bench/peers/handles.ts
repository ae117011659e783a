import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Generated, Kysely } from 'kysely'
import { type ConnectionPool, handlesOver, type Models } from 'tenantry'
import { kysely } from 'tenantry/kysely'
import { mikroOrm } from 'tenantry/mikro-orm'
import { prisma } from 'tenantry/prisma'
import { pgPool } from 'tenantry/postgres'
import { Address, User } from '../models/mikro-orm.ts'
import { PrismaClient } from '../models/prisma/client/client.ts'

// Handles that are not MikroORM's, on the tables that it makes: to measure routing by itself, and with another library on
// top.

const { schema } = mikroOrm({ entities: [User, Address] })

export interface Tables {
  readonly user_account: { readonly id: Generated<number>; readonly name: string; readonly fullname: string | null }
}

export const kyselyModels = (): Models<Kysely<Tables>> => ({ schema, handles: kysely<Tables>() })

export const drizzleModels = (): Models<NodePgDatabase> => ({
  schema,
  handles: handlesOver((pool) => drizzle({ client: pgPool(pool) })),
})

export const prismaModels = (): Models<PrismaClient> => ({
  schema,
  // The folder is not read: the tables are MikroORM's.
  handles: prisma({ migrations: 'none', client: (adapter) => new PrismaClient({ adapter }) }).handles,
})

/** The pool itself. */
export const plainModels = (): Models<ConnectionPool> => ({ schema, handles: handlesOver((pool) => pool) })
