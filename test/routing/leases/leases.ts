import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Client, escapeIdentifier } from 'pg'
import { inParallel } from '../../../bench/measure/parallel.ts'
import type { Order, Report } from './child.ts'
import { open } from './tenants.ts'
import type { Identity } from './traces.ts'

/** The amount of work. */
export interface Extent {
  readonly leases: number
  readonly tenants: number
  readonly processes: number
  /** Repeats the choices, though not their timing. */
  readonly seed: string
}

/** Of each process: fewer than there are tenants, so that connections are closed for others all the time. */
const maxConnections = 8
/** More than there are connections, so that some always wait. */
const workers = 12

/** Takes random leases by several processes, in a new installation. @returns the sum of their reports */
export async function takeLeases(url: string, installation: string, extent: Extent): Promise<Report> {
  const opening = { url, installation, credentials: { key: randomBytes(32).toString('base64') }, maxConnections }
  const tenants = await makeTenants(opening, extent.tenants)
  const reports = await Promise.all(
    Array.from({ length: extent.processes }, (_, place) =>
      report({
        opening,
        tenants,
        leases: Math.ceil(extent.leases / extent.processes),
        workers,
        seed: `${extent.seed}/${place}`,
      }),
    ),
  )
  const sum = (key: 'looks' | 'used' | 'cancelled' | 'failed') => reports.reduce((total, one) => total + one[key], 0)
  return {
    looks: sum('looks'),
    used: sum('used'),
    cancelled: sum('cancelled'),
    failed: sum('failed'),
    violations: reports.flatMap(({ violations }) => violations),
  }
}

async function makeTenants(opening: Parameters<typeof open>[0], count: number): Promise<readonly Identity[]> {
  await using tenantry = await open(opening)
  const identities: Identity[] = []
  const numbers = Array.from({ length: count }, (_, place) => place + 1)
  await inParallel(numbers, 4, async (number) => {
    const id = `t${number}`
    await tenantry.onboard(id)
    const { database, user } = await tenantry.tenants.credentials(id)
    identities.push({ id, number, database, user, group: `${opening.installation}_app` })
  })
  const client = new Client({ connectionString: opening.url })
  await client.connect()
  for (const { user, group } of identities) await client.query(letAct(user, group))
  await client.end()
  return identities
}

/** Lets a tenant's role act as the group, which is one of the traces; from PostgreSQL 16 on it may not. */
function letAct(user: string, group: string): string {
  return `do $$ begin if current_setting('server_version_num')::int >= 160000 then
    execute 'grant ${escapeIdentifier(group)} to ${escapeIdentifier(user)} with set true'; end if; end $$`
}

async function report(order: Order): Promise<Report> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'child.ts'), { execArgv: [] })
  const ended = once(child, 'exit')
  child.send(order)
  const first = await Promise.race([once(child, 'message'), ended])
  const [told] = first as [Report | number | null]
  await ended
  if (told === null || typeof told === 'number') throw new Error(`A process ended with ${told}.`)
  return told
}
