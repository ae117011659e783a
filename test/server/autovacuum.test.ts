import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { postgres } from 'tenantry/postgres'
import { expect, it } from 'vitest'
import { afterwards, sqlAt } from '../support/server.ts'

it('is none of the sessions that a role without privileges would have to end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-test-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  // It comes within a second, and takes hours for what there is to do.
  const settings = { autovacuum_naptime: '1s', autovacuum_vacuum_cost_delay: '100ms', autovacuum_vacuum_cost_limit: 1 }
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), settings })
  afterwards(() => server.stop())
  await sqlAt(server.url, "create role plain login password 'plain'")
  await sqlAt(server.url, 'create table crowd as select generate_series(1, 200000) as number')
  await sqlAt(server.url, 'delete from crowd where number % 2 = 0')
  const workers = "select 1 from pg_stat_activity where backend_type = 'autovacuum worker' and datname = 'postgres'"
  await expect.poll(() => sqlAt(server.url, workers), { timeout: 30_000 }).not.toEqual([])
  const url = new URL(server.url)
  url.username = 'plain'
  url.password = 'plain'
  const asPlain = postgres({ url: url.href })
  const session = await asPlain.connect(asPlain.maintenanceDatabase)
  expect(await asPlain.sessions(session, asPlain.maintenanceDatabase, 'all', 'any')).toEqual([])
  expect(await sqlAt(server.url, workers)).not.toEqual([])
  await session.close()
})
