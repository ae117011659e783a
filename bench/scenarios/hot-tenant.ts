import { type EntityManager, MikroORM } from '@mikro-orm/postgresql'
import { Pool, type PoolConfig } from 'pg'
import { mikroOrm } from 'tenantry/mikro-orm'
import type { Tenantry } from 'tenantry'
import type { Counts } from '../counts.ts'
import { inAlternation } from '../measure/alternation.ts'
import { drive, type Load, p99, requireNoErrors, throughput } from '../measure/load.ts'
import { median } from '../measure/statistics.ts'
import { Address, User } from '../models/mikro-orm.ts'
import { plainModels } from '../peers/handles.ts'
import { makeTenants, openRouting, parameters, question, routed, type Route, tenantAt } from '../peers/routes.ts'
import type { Target } from '../result.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

/** Connections that each contender may have, and workers: some always wait. */
const connections = 10
const workers = 16
/** Many turns: what differs by parts of a hundred shows only where both have the same machine. */
const turnsFactor = 8
/** Requests are short here, and a turn is to last for some pauses of the garbage collector. */
const requestsFactor = 4

interface Figures {
  readonly throughput: number
  readonly p99: number
}

export const hotTenant: Scenario = {
  number: 8,
  title: 'One tenant that all requests are for',
  run: async (counts) => {
    const figures = await onServer((url) => measure(url, counts))
    return {
      columns: [
        { title: 'requests', unit: 'per second' },
        { title: '99th percentile', unit: 'ms' },
      ],
      rows: [...figures].map(([name, { throughput: rate, p99: slowest }]) => ({ name, values: [rate, slowest] })),
      targets: [...against(figures, 'Tenantry', 'pg'), ...against(figures, 'Tenantry, MikroORM', 'MikroORM')],
      notes: [
        `${workers} workers, ${connections} connections. Medians over the turns, of the ratios as well.`,
        'MikroORM has an instance of its own on its own pool, and Tenantry its handle.',
      ],
    }
  },
}

type Named = ReadonlyMap<string, Figures & { readonly loads: readonly Load[] }>

/** Of the two in the same turn, so that what the machine did meanwhile meets both. */
function against(figures: Named, own: string, bare: string): Target[] {
  const ratio = (of: (load: Load) => number) => {
    const others = figures.get(bare)?.loads ?? []
    return median((figures.get(own)?.loads ?? []).map((load, turn) => of(load) / of(others[turn] as Load)))
  }
  return [
    {
      what: `the throughput of ${bare} alone`,
      sense: 'at least',
      wanted: 0.95,
      measured: ratio(throughput),
      unit: 'times',
    },
    { what: `its 99th percentile`, sense: 'at most', wanted: 1.05, measured: ratio(p99), unit: 'times' },
  ]
}

async function measure(url: string, { routedRounds, requests, concurrency }: Counts): Promise<Named> {
  const [config = {}] = await makeTenants(url, 1, concurrency)
  await using plain = await openRouting(url, plainModels(), connections)
  await using withOrm = await openRouting(url, mikroOrm({ entities: [User, Address] }), connections)
  const pool = new Pool({ ...config, max: connections })
  const orm = instance(config)
  const contenders = [routed(plain), onPool(pool), throughOrm(withOrm), onInstance(orm)]
  const turn = Array.from({ length: requests * requestsFactor }, () => 0)
  try {
    const loads = await inAlternation<Route, Load>(
      contenders,
      { warmUp: turnsFactor, counted: routedRounds * turnsFactor },
      async ({ request }) => [requireNoErrors(await drive(turn, workers, request))],
    )
    return new Map(
      [...loads].map(([{ name }, all]) => [
        name,
        { loads: all, throughput: median(all.map(throughput)), p99: median(all.map(p99)) },
      ]),
    )
  } finally {
    await Promise.all([pool.end(), orm.close()])
  }
}

function onPool(pool: Pool): Route {
  return { name: 'pg', request: () => pool.query(question, parameters) }
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

function onInstance(orm: MikroORM): Route {
  return { name: 'MikroORM', request: () => orm.em.fork().findOne(User, { id: 1 }) }
}

function throughOrm(tenantry: Tenantry<EntityManager>): Route {
  return {
    name: 'Tenantry, MikroORM',
    request: () => tenantry.with(tenantAt(0), (em) => em.findOne(User, { id: 1 })),
  }
}
