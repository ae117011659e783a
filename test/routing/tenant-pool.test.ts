import type { ConnectionPool } from 'tenantry'
import { beforeAll, expect, it } from 'vitest'
import { plainModels } from '../../bench/peers/handles.ts'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { errorOf, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'

// Single statements on a tenant's pool itself, as libraries make them that need no connection for longer.

let tenantry: TestTenantry<ConnectionPool>

beforeAll(async () => {
  // A lease that is not released keeps the next request from having one.
  tenantry = await openTestTenantry(plainModels(), { postgres: { maxConnections: 1 }, pool: { waitMs: 2_000 } })
  await tenantry.onboard('a')
})

function ask(statement: unknown, values?: unknown): Promise<unknown> {
  return tenantry.with('a', (pool) => pool.query(statement, values))
}

async function asksNonsense(): Promise<void> {
  await ask('nonsense')
}

async function expectConnection(): Promise<void> {
  expect(await ask('select $1::int as number', [7])).toMatchObject({ rows: [{ number: 7 }] })
}

it('gives its connection back with the answer', async () => {
  const asked = Array.from({ length: 5 }, (_, number) => ask('select $1::int as number', [number]))
  const answers = (await Promise.all(asked)) as { rows: unknown[] }[]
  expect(answers.map(({ rows }) => rows)).toEqual([0, 1, 2, 3, 4].map((number) => [{ number }]))
})

it('releases its connection with an error, which has the caller in its stack', async () => {
  const error = (await errorOf(asksNonsense())) as Error
  expect(error).toMatchObject({ code: '42601' })
  expect(error.stack).toContain('asksNonsense')
  await expectConnection()
})

it('releases its connection if the query is no statement', async () => {
  expect(await errorOf(ask(null))).toBeInstanceOf(TypeError)
  expect(await errorOf(ask({ text: 7 }))).toBeInstanceOf(Error)
  expect(await errorOf(ask('select 1', 'no array'))).toBeInstanceOf(Error)
  await expectConnection()
})

it('makes do with another connection when its own ends under a statement', async () => {
  const ended = errorOf(ask('select pg_terminate_backend(pg_backend_pid())'))
  expect(await ended).toMatchObject({ code: '57P01' })
  await expectConnection()
})

it('leaves no failed transaction to the next, though the state comes after the error', async () => {
  const proxy = await FaultProxy.start(serverUrl({ database: 'postgres' }))
  const { installation } = tenantry
  const slow = await openTestTenantry(plainModels(), { installation, postgres: { url: proxy.url, maxConnections: 2 } })
  const through = (statement: string) => slow.with('a', (pool) => pool.query(statement))
  expect(await through('select 7 as number')).toMatchObject({ rows: [{ number: 7 }] })
  proxy.pace = { latencyMs: 20 }
  for (let time = 0; time < 3; time++) {
    const [failed, next] = await Promise.all([errorOf(through('begin; select 1/0')), through('select 8 as number')])
    expect(failed).toMatchObject({ code: '22012' })
    expect(next).toMatchObject({ rows: [{ number: 8 }] })
  }
  proxy.pace = undefined
  await slow.close()
  await proxy.close()
})

/**
 * Waits for the end of a connection. One that the server has ended may be leased before that is noticed, and its holder
 * gets the error.
 */
async function untilItsEndIsHeard(askOnce: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const error = await errorOf(askOnce())
    if (!(error instanceof Error && 'code' in error && error.code === '57P01')) return
  }
}

it('reports a disabled login to all of many callers at once, and recovers when it is enabled again', async () => {
  const { installation } = tenantry
  const options = { installation, postgres: { maxConnections: 8 }, pool: { waitMs: 2_000 } }
  await using crowded = await openTestTenantry(plainModels(), options)
  const { user } = await crowded.tenants.credentials('a')
  const askOnce = () => crowded.with('a', (pool) => pool.query('select 7 as number'))
  expect(await askOnce()).toMatchObject({ rows: [{ number: 7 }] })
  await sql(`alter role "${user}" nologin`)
  await sql('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [user])
  await untilItsEndIsHeard(askOnce)
  // The wait that each has at the most, and as much again for a busy machine.
  const deadline = AbortSignal.timeout(2 * options.pool.waitMs)
  const asked = Array.from({ length: 40 }, () => errorOf(askOnce()))
  const errors = await Promise.race([
    Promise.all(asked),
    new Promise<never>((_, reject) => deadline.addEventListener('abort', () => reject(deadline.reason as Error))),
  ])
  const refused = expect.objectContaining({ code: expect.stringMatching(/^(?:authentication-failed|pool-timeout)$/) })
  expect(errors).toEqual(errors.map(() => refused))
  expect(errors).toContainEqual(expect.objectContaining({ code: 'authentication-failed' }))
  await sql(`alter role "${user}" login`)
  expect(await askOnce()).toMatchObject({ rows: [{ number: 7 }] })
})

it('leaves no transaction open', async () => {
  await ask('begin')
  await ask('select 1')
  const open = await sql(`select 1 from pg_stat_activity where datname = $1 and state = 'idle in transaction'`, [
    (await tenantry.tenants.get('a'))?.database,
  ])
  expect(open).toEqual([])
})
