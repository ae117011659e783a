import { ensureDatabase, ensureTables, openTenantry } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { expect, it } from 'vitest'
import { models } from '../isolation/support.ts'
import { existingDatabase } from '../start-up/support.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { afterwards, serverUrl, sql } from '../support/server.ts'
import { foreignSession } from '../support/sessions.ts'
import { openTestTenantry } from '../support/tenants.ts'

// A service that starts with everything in place.

// raia-live/amfs#310: the schema was applied at every start, behind locks that requests held for half an hour.
it('tables that are there are ensured while every one of them is locked', async () => {
  const { name, url } = await existingDatabase()
  await ensureTables(url, models)
  const { client } = await foreignSession(name)
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'public'`,
  )
  await client.query('begin')
  await client.query(`lock table ${rows.map((row) => row.name).join(', ')} in exclusive mode`)
  expect(await ensureDatabase(url)).toMatchObject({ outcome: 'already-exists' })
  expect(await ensureTables(url, models, { lockTimeoutMs: 1, statementTimeoutMs: 20_000 })).toMatchObject({
    created: [],
  })
})

it('a catalog that is up to date is opened while another process makes or changes it', async () => {
  const first = await openTestTenantry(models)
  await first.onboard('acme')
  const { installation } = first
  const { client } = await foreignSession(`${installation}_catalog`)
  await client.query('begin')
  await client.query('lock table tenantry.migration in exclusive mode')
  const again = await openTenantry({
    models,
    servers: [postgres({ url: serverUrl() })],
    installation,
    limits: { lockTimeoutMs: 1 },
  })
  afterwards(() => again.close())
  expect(again.startUp).toMatchObject({ tenants: 1 })
})

// JasperFx/weasel#431: with 1,037 databases and nothing to do, a start took as many round trips.
it('the cost of a start does not grow with the number of tenants', async () => {
  const first = await openTestTenantry(models)
  const { installation } = first
  const proxy = await startCountingProxy(serverUrl())
  afterwards(() => proxy.close())
  const start = async () => {
    // A router has no keeper of spares, which would send statements of its own.
    const started = await openTenantry({
      models,
      servers: [postgres({ url: proxy.url(serverUrl()) })],
      installation,
      mode: 'router',
    })
    const { connections, statements } = proxy.take()
    await started.close()
    proxy.take()
    return { connections, statements }
  }
  await first.onboard('t-0')
  const few = await start()
  for (let number = 1; number <= 12; number++) await first.onboard(`t-${number}`)
  expect(await start()).toEqual(few)
  expect(await sql('select 1 from pg_database where starts_with(datname, $1)', [`${installation}_t_`])).toHaveLength(13)
})
