import type { PoolConfig } from 'pg'
import type { ConnectionPool, Tenantry } from 'tenantry'
import type { Counts } from '../counts.ts'
import { inAlternation } from '../measure/alternation.ts'
import { IdealCache } from '../measure/ideal-cache.ts'
import { drive, requireNoErrors, throughput } from '../measure/load.ts'
import { Popularity } from '../measure/popularity.ts'
import { connectionLogging, peakConnections } from '../measure/server-connections.ts'
import { median } from '../measure/statistics.ts'
import { plainModels } from '../peers/handles.ts'
import { connecting, makeTenants, openRouting, PoolPerTenant, routed, type Route, routedName } from '../peers/routes.ts'
import type { Target } from '../result.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

/** The exponents of the popularity; 0 is all alike. */
const exponents = [1.5, 1, 0] as const

/** Turns are long here: each ends with its last request, and an opening takes as long as hundreds of others. */
const requestsFactor = 4

/** Requests a second under one distribution, medians of the turns. */
interface Figures {
  readonly tenantry: number
  readonly connecting: number
  /** The rate of an ideal cache of the budget's size for the same requests. */
  readonly ideal: number
  /** The part of the requests for which such a cache has no connection. */
  readonly missRate: number
}

export const manyTenants: Scenario = {
  number: 9,
  title: 'Many tenants, few connections',
  run: async (counts) => {
    const { figures, peak, broke } = await onServer((url, log) => measure(url, log, counts), connectionLogging)
    const [steep, even, uniform] = figures
    return {
      columns: exponents.map((s) => ({ title: titleOf(s), unit: 'per second' })),
      rows: [
        { name: 'Tenantry', values: figures.map(({ tenantry }) => tenantry) },
        { name: 'connecting per request', values: figures.map(({ connecting: each }) => each) },
        { name: 'an ideal cache', values: figures.map(({ ideal }) => ideal) },
        { name: 'a pool per tenant', values: exponents.map(() => undefined) },
      ],
      targets: [
        timesConnecting(titleOf(1.5), steep, 5),
        { ...ratio('of what an ideal cache allows, Zipf s = 1', even?.tenantry, even?.ideal), wanted: 0.9 },
        timesConnecting(titleOf(0), uniform, 0.95),
        {
          what: `connections at once, with a budget of ${counts.budget}`,
          sense: 'at most',
          wanted: counts.budget,
          measured: peak,
          unit: 'count',
        },
      ],
      notes: [
        `${counts.routed} tenants, ${counts.workers} workers, a budget of ${counts.budget}; no request failed.`,
        `The ideal cache misses ${figures.map(({ missRate }) => `${Math.round(missRate * 100)} %`).join(', ')}.`,
        `A pool per tenant: ${broke}`,
      ],
    }
  },
}

function titleOf(s: (typeof exponents)[number]): string {
  return s === 0 ? 'uniform' : `Zipf s = ${s}`
}

function ratio(what: string, one = Number.NaN, other = Number.NaN): Omit<Target, 'wanted'> {
  return { what, sense: 'at least', measured: one / other, unit: 'times' }
}

function timesConnecting(title: string, figures: Figures | undefined, wanted: number): Target {
  return { ...ratio(`the throughput of connecting, ${title}`, figures?.tenantry, figures?.connecting), wanted }
}

async function measure(url: string, logFile: string, counts: Counts) {
  const configs = await makeTenants(url, counts.routed, counts.concurrency)
  const figures: Figures[] = []
  const tenantry = await openRouting(url, plainModels(), counts.budget)
  try {
    for (const s of exponents) figures.push(await measureDistribution(tenantry, configs, counts, s))
  } finally {
    await tenantry.close()
  }
  const peak = await peakConnections(logFile, routedName)
  return { figures, peak, broke: await untilItBreaks(configs, counts) }
}

/** The cache is ideal for requests as they come; the time of a hit and of a miss are measured in the same turns. */
async function measureDistribution(
  tenantry: Tenantry<ConnectionPool>,
  configs: readonly PoolConfig[],
  { workers, budget, requests, routedRounds }: Counts,
  s: number,
): Promise<Figures> {
  const popularity = new Popularity(configs.length, s)
  const [own, each] = [routed(tenantry), connecting(configs)]
  // One connection each to as many tenants as the budget allows: every request finds its own open.
  const hits = new PoolPerTenant(configs, { max: 1, idleTimeoutMillis: 0 })
  const allKept = new Popularity(Math.min(budget, configs.length), 0)
  const ideal = new IdealCache(budget)
  const missRates: number[] = []
  const contenders: readonly Route[] = [own, each, hits]
  const loads = await inAlternation(contenders, { warmUp: 1, counted: routedRounds }, async (route, round) => {
    const wanted = (route === hits ? allKept : popularity).draw(requests * requestsFactor, `${s}/${round}`)
    if (route === own) missRates.push(ideal.missRate(wanted))
    return [requireNoErrors(await drive(wanted, workers, route.request))]
  })
  await hits.close()
  const rate = (route: Route) => median((loads.get(route) ?? []).map(throughput))
  // The first round is the one that is not counted.
  const missRate = median(missRates.slice(1))
  return {
    tenantry: rate(own),
    connecting: rate(each),
    ideal: 1 / ((1 - missRate) / rate(hits) + missRate / rate(each)),
    missRate,
  }
}

/** Nothing limits the sum of all pools, so that it grows until the server refuses. */
async function untilItBreaks(configs: readonly PoolConfig[], { workers, requests }: Counts): Promise<string> {
  const pools = new PoolPerTenant(configs)
  let isBroken = false
  let answered = 0
  const wanted = function* () {
    for (const tenant of new Popularity(configs.length, 1).draw(requests, 'pools')) {
      if (isBroken) return
      yield tenant
    }
  }
  let broke = `did not break in ${requests} requests.`
  try {
    await drive(wanted(), workers, async (tenant) => {
      try {
        await pools.request(tenant)
        answered++
      } catch (error) {
        if (!isBroken) {
          broke = `broke after ${answered} requests, with ${pools.connections} connections in ${pools.pools} pools: ${messageOf(error)}.`
        }
        isBroken = true
        throw error
      }
    })
  } finally {
    await pools.close()
  }
  return broke
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
