import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'
import type { Counts } from '../counts.ts'
import { inAlternation, time } from '../measure/alternation.ts'
import { type Summary, summarise } from '../measure/statistics.ts'
import { allPeers } from '../peers/all.ts'
import type { Contender } from '../peers/contender.ts'
import { asContender, open } from '../peers/tenantry.ts'
import type { Column, Row, Target } from '../result.ts'
import { onServer } from '../server.ts'

/** Tenantry's figures beside those of the peers. */
export interface Latencies {
  readonly tenantry: Summary
  readonly peers: ReadonlyMap<string, Summary>
}

/** The measured call of every contender. */
export type Call = (contender: Contender, id: string) => Promise<void>

/**
 * Measures a call of Tenantry with spares, and the same of all peers, in alternation on one server.
 *
 * @param afterwards further measurements of that Tenantry, after the peers
 */
export function measureLatencies<T>(
  counts: Counts,
  call: Call,
  afterwards: (tenantry: Tenantry<EntityManager>) => Promise<T>,
): Promise<{ readonly latencies: Latencies; readonly after: T }> {
  return onServer(async (url) => {
    const tenantry = await open(url, { spares: counts.spares, concurrency: counts.concurrency })
    const contenders = [asContender(tenantry), ...allPeers(url, counts.loopConcurrency)]
    try {
      const latencies = await alternate(contenders, counts, call)
      return { latencies, after: await afterwards(tenantry) }
    } finally {
      for (const contender of contenders) await contender.close()
    }
  })
}

/** Everybody is settled when a turn ends, so each turn begins quietly, and Tenantry's with all its spares. */
async function alternate(contenders: readonly Contender[], counts: Counts, call: Call): Promise<Latencies> {
  for (const contender of contenders) await contender.settle()
  const rounds = { warmUp: 1, counted: counts.rounds }
  const samples = await inAlternation(contenders, rounds, async (contender, round) => {
    const taken: number[] = []
    for (let place = 0; place < counts.batch; place++) {
      taken.push(await time(() => call(contender, `t${round}x${place}`)))
    }
    await contender.settle()
    return taken
  })
  const [tenantry, ...peers] = [...samples].map(([{ name }, taken]) => [name, summarise(taken)] as const)
  if (tenantry === undefined) throw new RangeError('Nobody was measured.')
  return { tenantry: tenantry[1], peers: new Map(peers) }
}

export const latencyColumns: readonly Column[] = [
  { title: 'median', unit: 'ms' },
  { title: '95th percentile', unit: 'ms' },
  { title: 'to Tenantry', unit: 'times' },
  { title: 'samples', unit: 'count' },
]

export function latencyRows({ tenantry, peers }: Latencies): Row[] {
  return [['Tenantry', tenantry] as const, ...peers].map(([name, { median, p95, samples }]) => ({
    name,
    values: [median, p95, median / tenantry.median, samples],
  }))
}

/** Returns the best peer's time divided by Tenantry's. */
export function fasterThanBest({ tenantry, peers }: Latencies, figure: 'median' | 'p95', wanted: number): Target {
  const best = Math.min(...[...peers.values()].map((summary) => summary[figure]))
  return {
    what: `faster than the best peer at the ${figure === 'median' ? 'median' : '95th percentile'}`,
    sense: 'at least',
    wanted,
    measured: best / tenantry[figure],
    unit: 'times',
  }
}
