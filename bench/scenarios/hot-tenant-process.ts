// A process of its own: one library with and without Tenantry, turn by turn, and nothing else that would change how the
// engine compiles either of them. Prints the figures of every turn.

import { type EntityManager, MikroORM } from '@mikro-orm/postgresql'
import { Pool, type PoolConfig } from 'pg'
import { mikroOrm } from 'tenantry/mikro-orm'
import type { Tenantry } from 'tenantry'
import { inAlternation } from '../measure/alternation.ts'
import { drive, p99, requireNoErrors, throughput } from '../measure/load.ts'
import { Address, User } from '../models/mikro-orm.ts'
import { plainModels } from '../peers/handles.ts'
import { loginOf, openRouting, parameters, question, routed, type Route, tenantAt } from '../peers/routes.ts'
import type { Figures, Hot, Pair, Side } from './hot-tenant.ts'

const { pair, url, connections, workers, requests, rounds } = JSON.parse(process.argv[2] ?? '') as Hot

const measurers: Readonly<Record<Pair, () => Promise<Readonly<Record<Side, readonly Figures[]>>>>> = {
  pg: async () => {
    await using tenantry = await openRouting(url, plainModels(), connections)
    const pool = new Pool({ ...(await loginOf(tenantry, url, 0)), max: connections })
    try {
      return await measure(routed(tenantry).request, () => pool.query(question, parameters))
    } finally {
      await pool.end()
    }
  },
  MikroORM: async () => {
    await using tenantry = await openRouting(url, mikroOrm({ entities: [User, Address] }), connections)
    const orm = instance(await loginOf(tenantry, url, 0))
    try {
      return await measure(throughOrm(tenantry), () => orm.em.fork().findOne(User, { id: 1 }))
    } finally {
      await orm.close()
    }
  },
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
