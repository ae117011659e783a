import type { EntityManager } from '@mikro-orm/postgresql'
import type { Tenantry } from 'tenantry'
import { time } from '../measure/alternation.ts'
import { sparesReady } from '../peers/spares.ts'
import { fasterThanBest, latencyColumns, latencyRows, measureLatencies } from './latency.ts'
import type { Scenario } from './scenario.ts'

export const newTenant: Scenario = {
  number: 1,
  title: 'A new tenant, with spares ready',
  run: async (counts) => {
    const { latencies, after: rate } = await measureLatencies(
      counts,
      (contender, id) => contender.newTenant(id),
      (tenantry) => sustainedRate(tenantry, counts.sustained),
    )
    const rates = [rate, ...[...latencies.peers.values()].map(({ mean }) => 1_000 / mean)]
    return {
      columns: [...latencyColumns, { title: 'sustained', unit: 'per second' }],
      rows: latencyRows(latencies).map(({ name, values }, place) => ({ name, values: [...values, rates[place]] })),
      targets: [fasterThanBest(latencies, 'median', 20), fasterThanBest(latencies, 'p95', 10)],
      notes: [
        `Sustained: Tenantry's is ${counts.sustained} tenants one after the other, until all spares are there again.`,
        "A peer's is the inverse of its mean.",
      ],
      chart: { title: 'A new tenant', column: 0 },
    }
  },
}

/** Spares only move the work to before it is needed; this counts it. */
async function sustainedRate(tenantry: Tenantry<EntityManager>, tenants: number): Promise<number> {
  const took = await time(async () => {
    for (let place = 0; place < tenants; place++) await tenantry.onboard(`sustained${place}`)
    await sparesReady(tenantry)
  })
  return (tenants * 1_000) / took
}
