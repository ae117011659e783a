import { fasterThanBest, latencyColumns, latencyRows, measureLatencies } from './latency.ts'
import type { Scenario } from './scenario.ts'

export const firstRow: Scenario = {
  number: 2,
  title: 'A new tenant until its first row is written through the ORM, with spares ready',
  run: async (counts) => {
    const { latencies } = await measureLatencies(
      counts,
      (contender, id) => contender.newTenantWithRow(id),
      async () => undefined,
    )
    return {
      columns: latencyColumns,
      rows: latencyRows(latencies),
      targets: [fasterThanBest(latencies, 'median', 6)],
      notes: ['A peer writes through the connection that made the tables.'],
      chart: { title: 'A new tenant and its first row', column: 0 },
    }
  },
}
