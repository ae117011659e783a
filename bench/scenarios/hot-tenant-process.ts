// A process of its own: one library with and without Tenantry, turn by turn, and nothing else that would change how the
// engine compiles either of them. Prints the figures of every turn.

import { type EntityManager, MikroORM } from '@mikro-orm/postgresql'
import { PrismaPg } from '@prisma/adapter-pg'
import { eq } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Kysely, PostgresDialect } from 'kysely'
import { Pool, type PoolConfig } from 'pg'
import type { Models, Tenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { inAlternation } from '../measure/alternation.ts'
import { drive, p99, requireNoErrors, throughput } from '../measure/load.ts'
import { userAccount } from '../models/drizzle.ts'
import { Address, User } from '../models/mikro-orm.ts'
import { PrismaClient } from '../models/prisma/client/client.ts'
import { drizzleModels, kyselyModels, plainModels, prismaModels, type Tables } from '../peers/handles.ts'
import { loginOf, openRouting, parameters, question, type Route, tenantAt } from '../peers/routes.ts'
import type { Figures, Hot, Pair, Side } from './hot-tenant.ts'

const { pair, url, connections, workers, requests, rounds } = JSON.parse(process.argv[2] ?? '') as Hot

type Sides = Readonly<Record<Side, readonly Figures[]>>

const measurers: Readonly<Record<Pair, () => Promise<Sides>>> = {
  pg: () =>
    compare(
      plainModels(),
      (pool) => pool.query(question, parameters),
      (pool) => () => pool.query(question, parameters),
    ),
  MikroORM: async () => {
    await using tenantry = await openRouting(url, mikroOrm({ entities: [User, Address] }), connections)
    const orm = instance(await loginOf(tenantry, url, 0))
    try {
      return await measure(throughOrm(tenantry), () => orm.em.fork().findOne(User, { id: 1 }))
    } finally {
      await orm.close()
    }
  },
  Drizzle: () => {
    const find = (db: NodePgDatabase) => db.select().from(userAccount).where(eq(userAccount.id, 1))
    return compare(drizzleModels(), find, (client) => {
      const db = drizzle({ client })
      return () => find(db)
    })
  },
  Kysely: () => {
    const find = (db: Kysely<Tables>) => db.selectFrom('user_account').selectAll().where('id', '=', 1).execute()
    return compare(kyselyModels(), find, (pool) => {
      const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
      return () => find(db)
    })
  },
  Prisma: () => {
    // Not findUnique, of which those of one tick become one statement.
    const find = (client: PrismaClient) => client.userAccount.findFirst({ where: { id: 1 } })
    return compare(prismaModels(), find, (pool) => {
      const client = new PrismaClient({ adapter: new PrismaPg(pool) })
      return () => find(client)
    })
  },
}

/** Compares a handle with the same library on a bare pool. */
async function compare<Handle>(
  models: Models<Handle>,
  find: (handle: Handle) => Promise<unknown>,
  bareOn: (pool: Pool) => Route['request'],
): Promise<Sides> {
  await using tenantry = await openRouting(url, models, connections)
  const pool = new Pool({ ...(await loginOf(tenantry, url, 0)), max: connections })
  try {
    return await measure(() => tenantry.with(tenantAt(0), find), bareOn(pool))
  } finally {
    await pool.end()
  }
}

async function measure(own: Route['request'], bare: Route['request']) {
  const sides: readonly Side[] = ['own', 'bare']
  const turn = Array.from({ length: requests }, () => 0)
  const figures = await inAlternation<Side, Figures>(sides, rounds, async (side) => {
    const load = requireNoErrors(await drive(turn, workers, side === 'own' ? own : bare))
    return [{ throughput: throughput(load), p99: p99(load) }]
  })
  return { own: figures.get('own') ?? [], bare: figures.get('bare') ?? [] }
}

function instance({ host, port, user, password, database }: PoolConfig): MikroORM {
  return new MikroORM({
    entities: [User, Address],
    host: String(host),
    port: Number(port),
    user: String(user),
    password: String(password),
    dbName: String(database),
    pool: { min: 0, max: connections },
    // It is there, and would be looked for by another role than the tenant's.
    ensureDatabase: false,
  })
}

function throughOrm(tenantry: Tenantry<EntityManager>): Route['request'] {
  return () => tenantry.with(tenantAt(0), (em) => em.findOne(User, { id: 1 }))
}

console.log(JSON.stringify(await measurers[pair]()))
