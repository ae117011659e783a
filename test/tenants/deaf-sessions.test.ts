import { Client, type Connection } from 'pg'
import { mikroOrm } from 'tenantry/mikro-orm'
import { expect, it, onTestFailed, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { disposableName, errorOf, serverUrl, sql, useOwnServer } from '../support/server.ts'
import { databasesOf, openTestTenantry } from '../support/tenants.ts'

// Sessions that do not respond for a while. Until they do, no database of their server is dropped: it is one of its
// own.

const models = mikroOrm({ entities: [User, Address] })
useOwnServer()

/** A superuser's connection, with a table to copy to. */
async function foreignSession(database: string) {
  const client = new Client({ connectionString: serverUrl({ database }) })
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  client.on('error', () => undefined)
  client.once('end', resolve)
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('create temporary table lines (line text)')
  return { client, ended }
}

/** The ids of the processes that are in the midst of a COPY. */
async function copying(): Promise<number[]> {
  const rows = await sql<{ pid: number }>(
    `select pid from pg_stat_activity where state = 'active' and query like 'copy lines%'`,
  )
  return rows.map(({ pid }) => pid)
}

it('are reported when a tenant is offboarded, which continues once they have ended', async () => {
  const tenantry = await openTestTenantry(models)
  const { database } = (await tenantry.onboard('a')).tenant
  const { client, ended } = await foreignSession(database)
  // A server process that waits for a program sees nothing else, not even that it is to end.
  const sign = `/tmp/${disposableName()}`
  const program = `trap "" TERM; until [ -e ${sign} ]; do sleep 0.1; done; rm ${sign}`
  const letEnd = () => sql(`copy (select 1) to program 'cat > ${sign}'`)
  onTestFailed(() => void letEnd())
  const copy = client.query(`copy lines from program '${program}'`).catch(() => undefined)
  await expect.poll(copying).toHaveLength(1)
  const error = await errorOf(tenantry.tenants.offboard('a', { drainMs: 0 }))
  expect(error).toMatchObject({ code: 'sessions-remain', tenant: 'a', retryable: true })
  expect((await tenantry.tenants.get('a'))?.state).toBe('offboarded')
  expect(await databasesOf(tenantry)).toEqual([database])
  await letEnd()
  await copy
  await ended
  expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'already-offboarded' })
  expect(await databasesOf(tenantry)).toEqual([expect.stringContaining('_off_')])
})

it('are named when a tenant is purged, and purging continues once they have ended', async () => {
  const first = await openTestTenantry(models)
  await first.onboard('a')
  await first.tenants.offboard('a', { retentionDays: 0 })
  // Only now: creating databases may take longer.
  const { installation } = first
  const tenantry = await openTestTenantry(models, { installation, postgres: { statementTimeoutMs: 1_000 } })
  const { client, ended } = await foreignSession('postgres')
  client.query(waitingCopy)
  await expect.poll(copying).toHaveLength(1)
  const [pid] = await copying()
  const error = await errorOf(tenantry.tenants.purge('a'))
  const hint: unknown = expect.stringContaining(`${pid} (in postgres)`)
  expect(error).toMatchObject({ code: 'timeout', tenant: 'a', retryable: true, sqlState: '57014', hint })
  await sql('select pg_terminate_backend($1)', [pid])
  await ended
  expect(await tenantry.tenants.purge('a')).toMatchObject({ outcome: 'purged' })
  expect(await databasesOf(tenantry)).toEqual([])
})

/** A COPY whose client never sends anything; the driver's own would refuse at once. */
const waitingCopy = {
  submit: (connection: Connection) => connection.query('copy lines from stdin'),
  handleCopyInResponse: () => undefined,
  handleError: () => undefined,
}
