import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import type { Counts } from '../counts.ts'
import { inAlternation } from '../measure/alternation.ts'
import { summarise } from '../measure/statistics.ts'
import type { Row, Target } from '../result.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'
import { type Starter, prepareStarters } from './starters.ts'

export const startUp: Scenario = {
  number: 5,
  title: 'Start-up of a service whose tenants are there already',
  run: async (counts) => {
    await requireDisk(counts.tenants)
    const sizes = [...new Set([100, 10, 1].map((part) => Math.max(1, Math.round(counts.tenants / part))))]
    const medians: ReadonlyMap<string, number>[] = []
    for (const size of sizes) medians.push(await onServer((url) => measure(url, counts, size)))
    return {
      columns: [
        ...sizes.map((size) => ({ title: `${size.toLocaleString('en')} tenants`, unit: 'ms' }) as const),
        { title: 'to Tenantry', unit: 'times' },
      ],
      rows: toRows(medians),
      targets: [fasterThanBest(medians.at(-1) ?? new Map(), counts.tenants)],
      notes: [
        'Tenantry reads the stamps of all databases, and its records; a loop makes sure of each database and its tables.',
        `A loop looks at ${counts.loopConcurrency} databases at once, and asks once which of them exist.`,
        `TypeORM and Drizzle have databases of their own, at most ${counts.ownDatabases}: beyond, their figure is`,
        'the time of these, multiplied.',
      ],
      chart: { title: `Start-up with ${counts.tenants.toLocaleString('en')} tenants`, column: sizes.length - 1 },
    }
  },
}

/** The medians of one size, in milliseconds, Tenantry's first. */
async function measure(url: string, counts: Counts, size: number): Promise<ReadonlyMap<string, number>> {
  const { starters, close } = await prepareStarters(url, counts, size)
  try {
    const turns = { warmUp: 0, counted: counts.startRounds }
    const samples = await inAlternation<Starter>(starters, turns, ({ turn }) => turn())
    return new Map([...samples].map(([{ name }, taken]) => [name, summarise(taken).median]))
  } finally {
    await close()
  }
}

function toRows(medians: readonly ReadonlyMap<string, number>[]): Row[] {
  const last = medians.at(-1) ?? new Map<string, number>()
  const [tenantry = Number.NaN] = last.values()
  return [...last].map(([name, median]) => ({
    name,
    values: [...medians.map((ofSize) => ofSize.get(name)), median / tenantry],
  }))
}

function fasterThanBest(medians: ReadonlyMap<string, number>, size: number): Target {
  const [[, tenantry] = ['', Number.NaN], ...others] = medians
  const peers = others.filter(([name]) => !name.startsWith('Tenantry')).map(([, median]) => median)
  return {
    what: `faster than the best peer's loop over ${size.toLocaleString('en')} tenants`,
    sense: 'at least',
    wanted: 200,
    measured: Math.min(...peers) / tenantry,
    unit: 'times',
  }
}

/** A database takes 8 MB; a half again is for the log that is written ahead, and the peers' own. */
async function requireDisk(tenants: number): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir())
  const wanted = tenants * 12 * 2 ** 20
  if (bavail * bsize < wanted) {
    throw new Error(`${tmpdir()} has not the ${Math.ceil(wanted / 2 ** 30)} GB that ${tenants} databases take.`)
  }
}
