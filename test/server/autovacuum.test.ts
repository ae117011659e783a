import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { postgres } from 'tenantry/postgres'
import { beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { identifier } from '../support/names.ts'
import { afterwards, sqlAt } from '../support/server.ts'

// The effects of autovacuum on a role that is no superuser: its worker is in a database, and only a superuser may end
// it.

const victim = identifier('victim')
let superuser: URL
/** As a role that may create databases, and no more. */
let plain: URL

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-test-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  // It starts within a second, and takes hours for its work.
  const settings = { autovacuum_naptime: '1s', autovacuum_vacuum_cost_delay: '100ms', autovacuum_vacuum_cost_limit: 1 }
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), settings })
  afterwards(() => server.stop())
  superuser = new URL(server.url)
  plain = Object.assign(new URL(server.url), { username: 'plain', password: 'plain' })
  await sqlAt(superuser.href, "create role plain login createdb password 'plain'")
  await sqlAt(plain.href, `create database ${victim}`)
  const inVictim = Object.assign(new URL(plain.href), { pathname: `/${victim}` }).href
  await sqlAt(inVictim, 'create table crowd as select generate_series(1, 200000) as number')
  await sqlAt(inVictim, 'delete from crowd where number % 2 = 0')
  await vi.waitUntil(async () => (await workers()).length > 0, { timeout: 30_000 })
})

function workers(): Promise<object[]> {
  const query = `select 1 from pg_stat_activity where backend_type = 'autovacuum worker' and datname = '${victim}'`
  return sqlAt(superuser.href, query)
}

async function connected() {
  const server = postgres({ url: plain.href })
  const session = await server.connect(server.maintenanceDatabase)
  onTestFinished(() => session.close())
  return { server, session }
}

it('is none of the sessions that would have to be ended', async () => {
  const { server, session } = await connected()
  expect(await server.sessions.list(session, victim, 'all', 'any')).toEqual([])
  expect(await workers()).not.toEqual([])
})

it('does not keep a database from being dropped', async () => {
  const { server, session } = await connected()
  expect(await workers()).not.toEqual([])
  await server.databases.drop(session, victim)
  expect(await server.databases.describe(session, [victim])).toEqual([])
})
