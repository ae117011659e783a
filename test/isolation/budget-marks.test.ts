import { createHash, randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Client } from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { createRole, serverUrl, sql } from '../support/server.ts'
import { inCatalog, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

// Processes recognise each other's sessions by the application's name, which every session may choose for itself.

const models = mikroOrm({ entities: [User, Address] })
const budget = 8

/** An installation with a hostile tenant, no process of which has any connection. */
async function arrange(config: { roles?: 'shared' } = {}) {
  const first = await openTestTenantry(models, { ...config, postgres: { maxConnections: budget } })
  for (const id of ['evil', 'good']) await first.onboard(id)
  return first
}

/** Opens sessions with the mark of an unknown process, until the test ends. */
async function forge({ installation }: TestTenantry<unknown>, url: string, count: number): Promise<Client[]> {
  const [row] = await inCatalog<{ id: string }>({ installation }, 'select id from tenantry.installation')
  const family = createHash('sha256').update(row!.id).digest('hex').slice(0, 4)
  const clients = Array.from({ length: count }, () => {
    return new Client({ connectionString: url, application_name: `forged #${family}0000` })
  })
  for (const client of clients) {
    client.on('error', () => undefined)
    await client.connect()
    onTestFinished(() => client.end())
  }
  return clients
}

/** The time for which a hostile tenant's sessions are marked, and then not, in milliseconds. */
const rhythmMs = 100

/** Gives sessions the marks of ever new processes, and takes all of them away in between, until the test ends. */
function changeMarks(clients: readonly Client[]): void {
  const ending = new AbortController()
  const changing = clients.map(async (client) => {
    const { rows } = await client.query<{ name: string }>(`select current_setting('application_name') as name`)
    const family = rows[0]!.name.slice(0, -4)
    while (!ending.signal.aborted) {
      const process = randomInt(32 ** 4)
        .toString(32)
        .padStart(4, '0')
      const isMarked = Math.floor(Date.now() / rhythmMs) % 2 === 0
      await client.query(`set application_name = '${isMarked ? `${family}${process}` : 'none'}'`)
      await setTimeout(rhythmMs)
    }
  })
  onTestFinished(async () => {
    ending.abort()
    await Promise.all(changing)
  })
}

async function urlOf(tenantry: TestTenantry<unknown>, id: string): Promise<string> {
  const { database, user, password } = await tenantry.tenants.credentials(id)
  return serverUrl({ database, user, password: password.reveal() })
}

/** Opens another process, and lets it work for a tenant. */
async function startProcess({ installation }: TestTenantry<unknown>, roles?: 'shared') {
  const config = { installation, postgres: { maxConnections: budget }, pool: { waitMs: 2_000 } }
  const process = await openTestTenantry(models, { ...config, ...(roles && { roles }) })
  expect(await process.with('good', (em) => em.count(User))).toBe(0)
  return process
}

/** Returns the number of connections that each process has to share, the fewest first. */
async function shares({ installation }: TestTenantry<unknown>): Promise<number[]> {
  const rows = await sql<{ share: number }>(
    `select sum(objid::bigint & 4095)::int as share from pg_locks join pg_database on pg_database.oid = database
     where locktype = 'advisory' and objsubid = 2 and datname = $1 group by objid::bigint >> 12 order by 1`,
    [`${installation}_catalog`],
  )
  return rows.map(({ share }) => share)
}

/** Returns the number of connections that a process has to share once it works, if there is no other. */
async function shareOfNew(tenantry: TestTenantry<unknown>, roles?: 'shared'): Promise<number> {
  await startProcess(tenantry, roles)
  const [share] = await shares(tenantry)
  return share!
}

it("a tenant's sessions with the marks of unknown processes keep no connection from a process that starts", async () => {
  const before = await arrange()
  const [client] = await forge(before, await urlOf(before, 'evil'), 1)
  await before.close()
  expect(await shareOfNew(before)).toBe(budget - 1)
  const name = (await client!.query<{ name: string }>(`select current_setting('application_name') as name`)).rows[0]!
    .name
  for (let process = 0; process < 3; process++) {
    await client!.query(`set application_name = '${name.slice(0, -1)}${process + 1}'`)
    expect(await shareOfNew(before)).toBeLessThanOrEqual(budget - 1)
  }
})

it("as many as a tenant can open take no more of the budget than the tenant's share", async () => {
  const before = await arrange()
  await forge(before, await urlOf(before, 'evil'), budget)
  await before.close()
  expect(await shareOfNew(before)).toBe(budget / 2)
})

it("those of another service's role take nothing", async () => {
  const before = await arrange()
  await forge(before, serverUrl({ ...(await createRole()), database: 'postgres' }), 3)
  await before.close()
  expect(await shareOfNew(before)).toBe(budget)
})

it('those that processes left as the role of the connection count in full', async () => {
  const before = await arrange({ roles: 'shared' })
  await forge(before, serverUrl({ database: 'postgres' }), 6)
  await before.close()
  expect(await shareOfNew(before, 'shared')).toBe(budget - 6)
})

it.each([
  { marks: 'stay', disguise: () => undefined },
  { marks: 'change all the time', disguise: changeMarks },
])("a process that starts beside another one gets its part while a tenant's marks $marks", async ({ disguise }) => {
  const working = await arrange()
  expect(await working.with('good', (em) => em.count(User))).toBe(0)
  disguise(await forge(working, await urlOf(working, 'evil'), 15))
  for (let start = 0; start < 5; start++) {
    const started = await startProcess(working)
    const fewest = async () => (await shares(working)).map((share) => share >= (budget - budget / 2) / 2)
    await expect.poll(fewest, { timeout: 10_000 }).toEqual([true, true])
    await started.close()
  }
})
