import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../../test/faults/random.ts'
import type { ConnectionPool, Tenantry } from 'tenantry'
import type { Counts } from '../counts.ts'
import { inAlternation } from '../measure/alternation.ts'
import { drive, endless, p99, requireNoErrors } from '../measure/load.ts'
import { median } from '../measure/statistics.ts'
import { plainModels } from '../peers/handles.ts'
import { makeTenants, openRouting, tenantAt } from '../peers/routes.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

const polite = 50
const noisy = 200
/** Fewer than there are tenants, and as many. */
const budgets = [20, 50] as const
/** The work of each request: long enough that connections are the bottleneck, and not processors. */
const work = 'select pg_sleep(0.05)'
/** The pause of a polite tenant between two requests, in milliseconds. */
const pauseMs = { least: 100, most: 300 }
const politeRequests = 12

/** The 99th percentile of the polite ones, in milliseconds. */
interface Figures {
  readonly budget: number
  readonly alone: number
  readonly beside: number
  /** Of each turn to the one before or after it. */
  readonly ratio: number
}

export const noisyNeighbour: Scenario = {
  number: 10,
  title: 'Polite tenants beside one that asks for much at once',
  run: async (counts) => {
    const figures = await onServer((url) => measure(url, counts))
    return {
      columns: [
        { title: 'alone', unit: 'ms' },
        { title: 'beside it', unit: 'ms' },
        { title: 'to alone', unit: 'times' },
      ],
      rows: figures.map(({ budget, alone, beside, ratio }) => ({
        name: `Tenantry, a budget of ${budget}`,
        values: [alone, beside, ratio],
      })),
      targets: figures.map(({ budget, ratio }) => ({
        what: `the 99th percentile of the polite ones alone, a budget of ${budget}`,
        sense: 'at most',
        wanted: 2,
        measured: ratio,
        unit: 'times',
      })),
      notes: [
        `${polite} tenants with one request at a time and pauses, beside one with ${noisy} at a time and none.`,
        '99th percentiles. A request takes 50 ms on its connection.',
      ],
    }
  },
}

async function measure(url: string, counts: Counts): Promise<readonly Figures[]> {
  await makeTenants(url, polite + 1, counts.concurrency)
  const figures: Figures[] = []
  for (const budget of budgets) {
    await using tenantry = await openRouting(url, plainModels(), budget)
    figures.push(await measureBudget(tenantry, budget, counts))
  }
  return figures
}

async function measureBudget(
  tenantry: Tenantry<ConnectionPool>,
  budget: number,
  { routedRounds }: Counts,
): Promise<Figures> {
  const contenders = ['alone', 'beside'] as const
  const turns = { warmUp: 1, counted: routedRounds }
  const samples = await inAlternation<(typeof contenders)[number]>(contenders, turns, async (which, round) => {
    if (which === 'alone') return [await politeP99(tenantry, round)]
    return [await besideNoise(tenantry, () => politeP99(tenantry, round))]
  })
  const [alone = [], together = []] = contenders.map((which) => samples.get(which))
  return {
    budget,
    alone: median(alone),
    beside: median(together),
    ratio: median(together.map((figure, turn) => figure / (alone[turn] ?? Number.NaN))),
  }
}

const request = (tenantry: Tenantry<ConnectionPool>, place: number) =>
  tenantry.with(tenantAt(place), (pool) => pool.query(work))

/** All polite ones for a while, each at its own times. */
async function politeP99(tenantry: Tenantry<ConnectionPool>, round: number): Promise<number> {
  const places = Array.from({ length: polite }, (_, place) => place + 1)
  const loads = await Promise.all(
    places.map((place) =>
      drive(
        Array.from({ length: politeRequests }, () => place),
        1,
        () => request(tenantry, place),
        pauses(new Random(`${round}/${place}`)),
      ),
    ),
  )
  const latencies = loads.flatMap((load) => requireNoErrors(load).latencies)
  return p99({ latencies })
}

function pauses(random: Random): () => Promise<void> {
  return () => delay(random.between(pauseMs.least, pauseMs.most))
}

/** Works while one tenant has as many requests under way as it may, all the time. */
async function besideNoise<T>(tenantry: Tenantry<ConnectionPool>, measured: () => Promise<T>): Promise<T> {
  const over = new AbortController()
  const requests = endless(() => 0, over.signal)
  const noise = drive(requests, noisy, (place) => request(tenantry, place))
  try {
    return await measured()
  } finally {
    over.abort()
    requireNoErrors(await noise)
  }
}
