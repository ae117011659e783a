import { inAlternation, time } from '../measure/alternation.ts'
import { summarise } from '../measure/statistics.ts'
import { connect } from '../peers/maintenance.ts'
import { open } from '../peers/tenantry.ts'
import type { Counts } from '../counts.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'
import { bareClone, findTemplate } from './template.ts'

export const withoutSpares: Scenario = {
  number: 3,
  title: 'A new tenant without spares, against a bare CREATE DATABASE from the same template',
  run: async (counts) => {
    const { tenantry, bare } = await onServer((url) => measure(url, counts))
    const rows = [
      { name: 'Tenantry', ...tenantry },
      { name: 'bare CREATE DATABASE', ...bare },
    ]
    return {
      columns: [
        { title: 'median', unit: 'ms' },
        { title: '95th percentile', unit: 'ms' },
        { title: 'to bare', unit: 'times' },
        { title: 'samples', unit: 'count' },
      ],
      rows: rows.map(({ name, median, p95, samples }) => ({
        name,
        values: [median, p95, median / bare.median, samples],
      })),
      targets: [
        {
          what: 'the time of the bare statement',
          sense: 'at most',
          wanted: 1.3,
          measured: tenantry.median / bare.median,
          unit: 'times',
        },
      ],
      notes: ['The bare statement runs on a connection that is kept, and leaves no record anywhere.'],
    }
  },
}

async function measure(url: string, { rounds, batch, concurrency }: Counts) {
  const tenantry = await open(url, { spares: 0, concurrency })
  const client = await connect(url)
  try {
    const template = await findTemplate(tenantry, client)
    const onboard = (id: string): Promise<unknown> => tenantry.onboard(id)
    const clone = (id: string): Promise<unknown> => bareClone(client, `bare_${id}`, template)
    const samples = await inAlternation([onboard, clone], { warmUp: 1, counted: rounds }, async (make, round) => {
      const taken: number[] = []
      for (let place = 0; place < batch; place++) taken.push(await time(() => make(`t${round}x${place}`)))
      return taken
    })
    return { tenantry: summarise(samples.get(onboard) ?? []), bare: summarise(samples.get(clone) ?? []) }
  } finally {
    await client.end()
    await tenantry.close()
  }
}
