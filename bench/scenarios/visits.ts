import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Counts } from '../counts.ts'
import { connect, urlOf } from '../peers/maintenance.ts'
import { makeTenants } from '../peers/routes.ts'
import { installation } from '../peers/tenantry.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

const run = promisify(execFile)
const processFile = fileURLToPath(new URL('visits-process.ts', import.meta.url))
const megabyte = 2 ** 20

const libraries = ['MikroORM', 'Kysely', 'Drizzle', 'Prisma'] as const
export type Library = (typeof libraries)[number]

/** The order of the process. */
export interface Visits {
  readonly library: Library
  readonly url: string
  readonly tenants: number
  readonly passes: number
  readonly budget: number
}

/** Databases that there are; the tenants share them. */
const databases = 20
const connections = 10

export const visits: Scenario = {
  number: 11,
  title: 'What a process holds while it visits tenants in turn',
  run: async (counts) => {
    const { visited, passes } = counts
    const figures = await onServer((url) => measure(url, counts))
    return {
      columns: Array.from({ length: passes }, (_, pass) => ({ title: `pass ${pass + 1}`, unit: 'MB' }) as const),
      rows: figures.map(([library, held]) => ({
        name: `Tenantry, ${library}`,
        values: held.map((bytes) => bytes / megabyte),
      })),
      targets: figures.map(([library, held]) => ({
        what: `growth with each pass after the first, ${library}`,
        sense: 'at most',
        wanted: 0.5,
        measured: slope(held.slice(1)) / megabyte,
        unit: 'MB',
      })),
      notes: [
        `${visited.toLocaleString('en')} tenants, a new connection and one query each time.`,
        `They share ${databases} databases: so many of their own would take ${Math.round((visited * 8) / 1_000)} GB of disk.`,
        'Heap and external memory after garbage collection, at the end of each pass.',
      ],
    }
  },
}

async function measure(url: string, { visited, passes, concurrency }: Counts) {
  await makeTenants(url, databases, concurrency)
  await addTenants(url, visited)
  const figures: (readonly [Library, readonly number[]])[] = []
  for (const library of libraries) {
    const told: Visits = { library, url, tenants: visited, passes, budget: connections }
    const { stdout } = await run(process.execPath, ['--expose-gc', processFile, JSON.stringify(told)])
    figures.push([library, JSON.parse(stdout) as number[]])
  }
  return figures
}

/**
 * Rows of tenants in service, of which many have the same database. The catalog forbids that, so its fence is taken down
 * first. They have no roles of their own.
 */
async function addTenants(url: string, count: number): Promise<void> {
  const catalog = await connect(urlOf(url, `${installation}_catalog`))
  try {
    await catalog.query('alter table tenantry.tenant drop constraint tenant_server_id_database_key')
    await catalog.query(
      `insert into tenantry.tenant (id, state, server_id, database, fingerprint, activated_at)
       select 'visited-' || place, 'active', server.id, '${installation}_t_t' || place % ${databases}, version.fingerprint, now()
       from generate_series(1, $1::int) as place, tenantry.server, tenantry.version`,
      [count],
    )
  } finally {
    await catalog.end()
  }
}

/** Returns the growth of a figure from one to the next: the line that fits best (least squares). */
function slope(figures: readonly number[]): number {
  const middle = (figures.length - 1) / 2
  const deviation = figures.reduce((sum, figure, place) => sum + (place - middle) * figure, 0)
  return deviation / figures.reduce((sum, _, place) => sum + (place - middle) ** 2, 0)
}
