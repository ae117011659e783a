import { once } from 'node:events'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts'
import { startProgram } from '../support/program.ts'
import { afterwards, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })
const budget = 12
const tenants = Array.from({ length: 2 * budget }, (_, i) => `t${i}`)

/** The result of a process's work since the last report. */
interface Report {
  readonly done: number
  readonly failures: readonly string[]
}

let installation: string
let proxy: CountingProxy
/** The most sessions that the server itself was seen to have. */
let most = 0

beforeAll(async () => {
  proxy = await startCountingProxy(serverUrl())
  afterwards(() => proxy.close())
  const tenantry = await openTestTenantry(models)
  for (const id of tenants) await tenantry.onboard(id)
  installation = tenantry.installation
})

describe('processes that share a budget', () => {
  it('never have more than the budget together, while one is added, one killed and one stopped', async () => {
    const end = watchServer()
    const first = await start()
    await expect.poll(() => share(first), waiting).toBe(budget)
    const second = await start()
    await expect.poll(() => Promise.all([first, second].map(share)), waiting).toEqual([6, 6])
    const third = await start()
    await expect.poll(() => Promise.all([first, second, third].map(share)), waiting).toEqual([4, 4, 4])

    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    await expect.poll(() => Promise.all([second, third].map(share)), waiting).toEqual([6, 6])

    // A stopped process keeps its connections, even when it does not count as present any more.
    await stopWithAll(second)
    await endPresence(second)
    const fourth = await start()
    await expect.poll(() => Promise.all([third, fourth].map(share)), waiting).toEqual([3, 3])
    second.child.kill('SIGCONT')
    await expect.poll(() => Promise.all([second, third, fourth].map(share)), waiting).toEqual([4, 4, 4])

    for (const { ask } of [second, third, fourth]) expect(await ask()).toMatchObject({ failures: [] })
    await third.end()
    await expect.poll(() => Promise.all([second, fourth].map(share)), waiting).toEqual([6, 6])
    await Promise.all([second.end(), fourth.end()])
    await end()
    expect(most).toBe(budget)
    expect(proxy.take().tenantPeak).toBe(budget)
  })
})

const waiting = { timeout: 20_000, interval: 50 }
let processes = 0

/** Begins a process that works for all tenants. */
async function start() {
  const name = `p${++processes}`
  const url = new URL(proxy.url(serverUrl()))
  url.searchParams.set('application_name', name)
  const words = [url.href, installation, String(budget), tenants.join()]
  const program = startProgram(new URL('busy-process.ts', import.meta.url), words)
  const say = async (word: string) => JSON.parse(await program.ask(word)) as Report
  await say('report')
  return { name, child: program.child, ask: () => say('report'), end: () => say('end') }
}

type Process = Awaited<ReturnType<typeof start>>

/** Returns the number of connections that a process publishes as reserved. */
async function share({ name }: Process): Promise<number> {
  const [row] = await sql<{ share: number }>(
    `select coalesce(sum(objid::bigint & 4095), 0)::int as share from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and objsubid = 2 and application_name = $1`,
    [name],
  )
  return row?.share ?? 0
}

/** Returns the number of its sessions in tenants' databases, as the server counts them. */
async function sessions({ name }: Process): Promise<number> {
  const [row] = await sql<{ count: number }>(
    'select count(*)::int from pg_stat_activity where starts_with(application_name, $1)',
    [`${name} #`],
  )
  return row?.count ?? 0
}

/** Stops a process while it has all connections that it may have. */
async function stopWithAll(process: Process): Promise<void> {
  await expect
    .poll(async () => {
      process.child.kill('SIGSTOP')
      const isAll = (await sessions(process)) === (await share(process))
      if (!isAll) process.child.kill('SIGCONT')
      return isAll
    }, waiting)
    .toBe(true)
}

/** Ends the session by which others see that a process divides the budget. */
async function endPresence({ name }: Process): Promise<void> {
  const ended = await sql(
    `select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and objsubid = 2 and application_name = $1`,
    [name],
  )
  expect(ended).toHaveLength(1)
}

/** Counts the sessions over and over. @returns a function that ends it */
function watchServer(): () => Promise<void> {
  const over = new AbortController()
  const count = `select count(*)::int from pg_stat_activity
    where backend_type = 'client backend' and starts_with(datname, $1)`
  const watching = (async () => {
    while (!over.signal.aborted) {
      const [row] = await sql<{ count: number }>(count, [`${installation}_t_`])
      most = Math.max(most, row?.count ?? 0)
    }
  })()
  return () => {
    over.abort()
    return watching
  }
}
