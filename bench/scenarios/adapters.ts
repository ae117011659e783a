import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { handlesOver, openTenantry, type SchemaSource } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import type { Counts } from '../counts.ts'
import { inAlternation, time } from '../measure/alternation.ts'
import { median } from '../measure/statistics.ts'
import { migrations } from '../models/migrations.ts'
import { Maintenance, urlOf } from '../peers/maintenance.ts'
import { type Migrated, migrators } from '../peers/migrators.ts'
import { sparesReady } from '../peers/spares.ts'
import type { Target } from '../result.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

const ways = ['spares', 'clone', 'tool'] as const
type Way = (typeof ways)[number]

/** A way to a new tenant, with the migrations of one tool. */
interface Maker {
  readonly tool: string
  readonly count: number
  readonly way: Way
  readonly make: (id: string) => Promise<unknown>
  /** Ends the work of a turn, untimed. */
  readonly settle: () => Promise<void>
}

/** The median of each way, in milliseconds, for one tool and one number of migrations. */
interface Measured {
  readonly tool: string
  readonly count: number
  readonly medians: Readonly<Record<Way, number>>
}

export const adapters: Scenario = {
  number: 14,
  title: 'A new tenant, by the tool of the migrations and their number',
  run: async (counts) => {
    const all = await onServer((url) => measure(url, counts))
    return {
      columns: [
        { title: 'Tenantry, spares', unit: 'ms' },
        { title: 'Tenantry, clone', unit: 'ms' },
        { title: "the tool's runner", unit: 'ms' },
        { title: 'runner to clone', unit: 'times' },
      ],
      rows: all.map(({ tool, count, medians: { spares, clone, tool: own } }) => ({
        name: `${tool}, ${count} migrations`,
        values: [spares, clone, own, own / clone],
      })),
      targets: (['spares', 'clone'] as const).flatMap((way) => targetsOf(all, way)),
      notes: [
        'Medians. The runner works on a database made by CREATE DATABASE, on a connection that is kept.',
        'Tenantry applies the migrations once, to its template; a clone and a spare are copies of it.',
      ],
    }
  },
}

/** Neither the number of migrations nor the tool may be seen in the time of a new tenant. */
function targetsOf(all: readonly Measured[], way: 'spares' | 'clone'): readonly Target[] {
  const least = Math.min(...all.map(({ count }) => count))
  const most = Math.max(...all.map(({ count }) => count))
  const of = (wanted: number) => all.filter(({ count }) => count === wanted).map(({ medians }) => medians[way])
  const common = { sense: 'at most', wanted: 1.5, unit: 'times' } as const
  return [
    { ...common, what: `${way}: ${most} migrations to ${least}`, measured: median(of(most)) / median(of(least)) },
    {
      ...common,
      what: `${way}: the slowest tool to the fastest`,
      measured: Math.max(...of(most)) / Math.min(...of(most)),
    },
  ]
}

/** All take turns: otherwise other load on the machine would be taken for a difference between them. */
async function measure(url: string, counts: Counts): Promise<readonly Measured[]> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-bench-migrations-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const maintenance = new Maintenance(url)
  stack.defer(() => maintenance.close())
  const makers: Maker[] = []
  for (const count of numbersOf(counts)) {
    for (const [place, [tool, prepare]] of Object.entries(migrators).entries()) {
      const prefix = `m${place}x${count}`
      const migrated = await prepare(migrations(count), join(folder, prefix))
      const site = { url, prefix, counts, maintenance, stack }
      makers.push(...(await makersOf(migrated, site)).map((it) => ({ tool, count, ...it })))
    }
  }
  const { rounds, batch } = counts
  const samples = await inAlternation(makers, { warmUp: 1, counted: rounds }, async ({ make, settle }, round) => {
    const taken: number[] = []
    for (let place = 0; place < batch; place++) taken.push(await time(() => make(`t${round}x${place}`)))
    await settle()
    return taken
  })
  const medianOf = (tool: string, count: number, way: Way) =>
    median(samples.get(makers.find((it) => it.tool === tool && it.count === count && it.way === way) as Maker) ?? [])
  return makers
    .filter(({ way }) => way === 'tool')
    .map(({ tool, count }) => ({
      tool,
      count,
      medians: {
        spares: medianOf(tool, count, 'spares'),
        clone: medianOf(tool, count, 'clone'),
        tool: medianOf(tool, count, 'tool'),
      },
    }))
}

/** One, a fifteenth of the most, and the most: 1, 10 and 150. */
function numbersOf({ migrations: most }: Counts): readonly number[] {
  return [...new Set([1, Math.ceil(most / 15), most])]
}

interface Site {
  readonly url: string
  /** The beginning of names of installations and databases. */
  readonly prefix: string
  readonly counts: Counts
  readonly maintenance: Maintenance
  readonly stack: AsyncDisposableStack
}

async function makersOf({ schema, migrate }: Migrated, site: Site): Promise<readonly Omit<Maker, 'tool' | 'count'>[]> {
  const { url, prefix, counts, maintenance, stack } = site
  const spares = stack.use(await openWith(schema, { ...site, installation: `${prefix}spares` }, counts.batch))
  const clone = stack.use(await openWith(schema, { ...site, installation: `${prefix}clone` }, 0))
  const settle = () => sparesReady(spares)
  await settle()
  const nothing = async () => undefined
  return [
    { way: 'spares', make: (id) => spares.onboard(id), settle },
    { way: 'clone', make: (id) => clone.onboard(id), settle: nothing },
    {
      way: 'tool',
      make: async (id) => {
        await maintenance.create(`${prefix}_${id}`)
        await migrate(urlOf(url, `${prefix}_${id}`))
      },
      settle: nothing,
    },
  ]
}

function openWith(
  schema: SchemaSource,
  { url, installation, counts }: Site & { readonly installation: string },
  spares: number,
) {
  return openTenantry({
    models: { schema, handles: handlesOver((pool) => pool) },
    servers: [postgres({ url, maxConnections: 20 })],
    installation,
    templates: { spares },
    limits: { concurrency: counts.concurrency },
  })
}
