import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Counts } from '../counts.ts'
import { median } from '../measure/statistics.ts'
import { makeTenants } from '../peers/routes.ts'
import type { Row, Target } from '../result.ts'
import { onServer } from '../server.ts'
import type { Scenario } from './scenario.ts'

const run = promisify(execFile)
const processFile = fileURLToPath(new URL('hot-tenant-process.ts', import.meta.url))

/** Connections that each contender may have, and workers: some always wait. */
const connections = 10
const workers = 16
/** In each process. Where short steps are many, the engine takes a hundred thousand of them until all are compiled. */
const rounds = { warmUp: 40, counted: 24 }
/** Requests are short here, and a turn is to last for some pauses of the garbage collector. */
const requestsFactor = 4

/** The pairs of the comparison: the library by itself, and through Tenantry. */
const pairs = ['pg', 'MikroORM', 'Drizzle', 'Kysely', 'Prisma'] as const
export type Pair = (typeof pairs)[number]
export type Side = 'own' | 'bare'

/** The order of the process. */
export interface Hot {
  readonly pair: Pair
  readonly url: string
  readonly connections: number
  readonly workers: number
  /** In each turn. */
  readonly requests: number
  readonly rounds: { readonly warmUp: number; readonly counted: number }
}

/** The figures of one turn. */
export interface Figures {
  /** Requests a second. */
  readonly throughput: number
  /** In milliseconds. */
  readonly p99: number
}

type Turns = Readonly<Record<Side, readonly Figures[]>>

export const hotTenant: Scenario = {
  number: 8,
  title: 'One tenant that all requests are for',
  run: async (counts) => {
    const measured = await onServer((url) => measure(url, counts))
    return {
      columns: [
        { title: 'requests', unit: 'per second' },
        { title: '99th percentile', unit: 'ms' },
      ],
      rows: measured.flatMap(([pair, { own, bare }]) => [
        rowOf(pair === 'pg' ? 'Tenantry' : `Tenantry, ${pair}`, own),
        rowOf(pair, bare),
      ]),
      targets: measured.flatMap(([pair, turns]) => targetsOf(pair, turns)),
      notes: [
        `${workers} workers, ${connections} connections. Medians over the turns, of the ratios as well.`,
        `Each library is measured in ${counts.routedRounds} processes of its own, since one process is some hundredths quicker than the next.`,
        'Each library has an instance of its own on a bare pool, and Tenantry its handle.',
      ],
    }
  },
}

async function measure(url: string, { routedRounds, requests, concurrency }: Counts) {
  await makeTenants(url, 1, concurrency)
  const measured: (readonly [Pair, Turns])[] = []
  for (const pair of pairs) {
    const told: Hot = { pair, url, connections, workers, requests: requests * requestsFactor, rounds }
    const parts: Turns[] = []
    for (let round = 0; round < routedRounds; round++) {
      const { stdout } = await run(process.execPath, [processFile, JSON.stringify(told)])
      parts.push(JSON.parse(stdout) as Turns)
    }
    measured.push([pair, { own: parts.flatMap(({ own }) => own), bare: parts.flatMap(({ bare }) => bare) }])
  }
  return measured
}

function rowOf(name: string, turns: readonly Figures[]): Row {
  const values = [median(turns.map(({ throughput }) => throughput)), median(turns.map(({ p99 }) => p99))]
  return { name, values }
}

/** Returns the targets, from both in the same turn, so that other load on the machine meets both. */
function targetsOf(pair: Pair, { own, bare }: Turns): Target[] {
  const ratio = (of: (figures: Figures) => number) =>
    median(own.map((figures, turn) => of(figures) / of(bare[turn] as Figures)))
  return [
    {
      what: `the throughput of ${pair} alone`,
      sense: 'at least',
      wanted: 0.95,
      measured: ratio(({ throughput }) => throughput),
      unit: 'times',
    },
    { what: 'its 99th percentile', sense: 'at most', wanted: 1.05, measured: ratio(({ p99 }) => p99), unit: 'times' },
  ]
}
