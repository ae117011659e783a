import type { EntityManager } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startProgram } from '../support/program.ts'
import { createRole, dropAfterwards, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { expectSessions, foreignSession, sessionsIn } from '../support/sessions.ts'
import { inCatalog, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/** Two processes' worth of Tenantry on one installation, which has a tenant `a` that both have worked for. */
async function openTwo() {
  const one = await openTestTenantry(models)
  const other = await openTestTenantry(models, { installation: one.installation })
  const { tenant } = await one.onboard('a')
  const count = (tenantry: TestTenantry<EntityManager>) => tenantry.with('a', (em) => em.count(User))
  expect([await count(one), await count(other)]).toEqual([0, 0])
  return { one, other, database: tenant.database, count, stateIs: stateReader(one) }
}

/** Waits until the catalog has the tenant `a` in that state. */
function stateReader(tenantry: TestTenantry<unknown>) {
  const read = async () => (await tenantry.tenants.get('a'))?.state
  return async (state: string) => {
    await expect.poll(read, { timeout: 20_000, interval: 10 }).toBe(state)
  }
}

/** Begins work that waits in a transaction; returns a function that ends it by a query, and its result. */
async function transactionUnderWay(tenantry: TestTenantry<EntityManager>) {
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const done = tenantry.with('a', (em) =>
    em.transactional(async (tx) => {
      tx.create(User, { name: 'written before', fullname: null })
      await tx.flush()
      begun.resolve()
      await gate.promise
      return tx.count(User)
    }),
  )
  await begun.promise
  return { done, end: gate.resolve }
}

/** Work with a query under way that would take a minute. */
async function slowQuery(tenantry: TestTenantry<EntityManager>, database: string): Promise<Promise<unknown>[]> {
  const failing = errorOf(tenantry.with('a', (em) => em.execute('select pg_sleep(60) /* slow */')))
  await expectSessions(database, `state = 'active' and query like '%/* slow */%'`)
  return [failing]
}

describe.each(['suspend', 'offboard'] as const)('%s', (verb) => {
  const after = verb === 'suspend' ? 'suspended' : 'offboarded'
  const back = verb === 'suspend' ? 'resume' : 'restore'

  it.each(['the same process', 'another process'])('allows work under way in %s to end normally', async (whose) => {
    const { one, other, database, stateIs, count } = await openTwo()
    const transaction = await transactionUnderWay(whose === 'another process' ? other : one)
    const leaving = one.tenants[verb]('a')
    await stateIs(after)
    for (const tenantry of [one, other]) {
      await expect.poll(() => errorOf(count(tenantry))).toMatchObject({ code: 'tenant-not-active', retryable: false })
    }
    // Only the one session with the transaction is left, and it is not disturbed.
    await expectSessions(database, 'true')
    transaction.end()
    expect(await transaction.done).toBe(1)
    expect(await leaving).toMatchObject({ outcome: after })
    await one.tenants[back]('a')
    expect([await count(one), await count(other)]).toEqual([1, 1])
  })

  it.each(['the same process', 'another process'])('ends work in %s at the deadline', async (whose) => {
    const { one, other, database, count } = await openTwo()
    const [failing] = await slowQuery(whose === 'another process' ? other : one, database)
    expect(await one.tenants[verb]('a', { drainMs: 200 })).toMatchObject({ outcome: after })
    expect(await failing).toMatchObject({ code: '57P01' })
    expect(await sessionsIn(database)).toEqual([])
    await one.tenants[back]('a')
    expect([await count(one), await count(other)]).toEqual([0, 0])
  })

  it('ends all sessions at once with a deadline of nothing', async () => {
    const { one, other, database, count } = await openTwo()
    const [failing] = await slowQuery(other, database)
    expect(await one.tenants[verb]('a', { drainMs: 0 })).toMatchObject({ outcome: after })
    expect(await failing).toMatchObject({ code: '57P01' })
    expect(await sessionsIn(database)).toEqual([])
    expect(await errorOf(count(other))).toMatchObject({ code: 'tenant-not-active' })
  })

  it('takes the deadline from the configuration where none is given', async () => {
    const { one, database, stateIs } = await openTwo()
    const hurried = await openTestTenantry(models, { installation: one.installation, limits: { drainMs: 100 } })
    const [failing] = await slowQuery(one, database)
    expect(await hurried.tenants[verb]('a')).toMatchObject({ outcome: after })
    expect(await failing).toMatchObject({ code: '57P01' })
    await stateIs(after)
  })

  it('refuses a handle that was kept, until the tenant is back', async () => {
    const { one, other } = await openTwo()
    const kept = await Promise.all([one, other].map((tenantry) => tenantry.with('a', (em) => em)))
    await one.tenants[verb]('a')
    for (const em of kept) expect(await errorOf(em.count(User))).toMatchObject({ code: 'tenant-not-active' })
    await one.tenants[back]('a')
    for (const em of kept) expect(await em.count(User)).toBe(0)
  })

  it('leaves no idle connection of any process, and disturbs no other tenant', async () => {
    const { one, other, database } = await openTwo()
    await one.onboard('b')
    for (const tenantry of [one, other]) await tenantry.with('b', (em) => em.count(User))
    expect(await sessionsIn(database)).toHaveLength(2)
    const idle = await sessionsIn(`${one.installation}_t_b`)
    await one.tenants[verb]('a')
    expect(await sessionsIn(database)).toEqual([])
    expect(await sessionsIn(`${one.installation}_t_b`)).toEqual(idle)
  })

  it('is heeded by a process after the loss of its listening connection', async () => {
    const { one, other, count } = await openTwo()
    const holdsPresence = `pid in (select pid from pg_locks where locktype = 'advisory' and mode = 'ShareLock')`
    const listening = () => sessionsIn(`${one.installation}_catalog`, holdsPresence)
    const before = await listening()
    expect(before).toHaveLength(2)
    await sql('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [before.map(({ pid }) => pid)])
    await one.tenants[verb]('a', { drainMs: 200 })
    expect(await errorOf(count(other))).toMatchObject({ code: 'tenant-not-active' })
    await one.tenants[back]('a')
    expect(await count(other)).toBe(0)
  })

  it('is not held up by a process that is stopped, beyond its deadline', async () => {
    const { one, database } = await openTwo()
    const stopped = await startInstance(one.installation)
    expect(await stopped.answer()).toBe('0')
    await expectSessions(database, 'true', 3)
    stopped.child.kill('SIGSTOP')
    expect(await one.tenants[verb]('a', { drainMs: 300 })).toMatchObject({ outcome: after })
    expect(await sessionsIn(database)).toEqual([])
    stopped.child.kill('SIGCONT')
    // If it finds its connection ended before it checks its memory, that is its first error.
    await expect.poll(() => stopped.ask()).toBe('tenant-not-active')
    await one.tenants[back]('a')
    expect(await stopped.ask()).toBe('0')
  })

  it('delays other calls that suspend or offboard the same tenant at the same time', async () => {
    const { one, other } = await openTwo()
    const outcomes = await Promise.all(
      [one, other, one, other].map(async (tenantry) => (await tenantry.tenants[verb]('a')).outcome),
    )
    expect(outcomes.toSorted()).toEqual([...Array<string>(3).fill(`already-${after}`), after])
  })

  it('cancelled by its signal while it waits for work is finished by the next call', async () => {
    const { one, database, stateIs } = await openTwo()
    const transaction = await transactionUnderWay(one)
    const controller = new AbortController()
    const leaving = errorOf(one.tenants[verb]('a', { signal: controller.signal }))
    await stateIs(after)
    controller.abort(new Error('enough'))
    expect(await leaving).toMatchObject({ code: 'aborted', tenant: 'a' })
    transaction.end()
    expect(await transaction.done).toBe(1)
    expect(await one.tenants[verb]('a')).toMatchObject({ outcome: `already-${after}` })
    expect(await sessionsIn(database)).toEqual([])
  })
})

describe('sessions of others', () => {
  it('that make a backup may stay in a suspended database, and must leave an archived one', async () => {
    const login = await createRole()
    dropAfterwards(login.user)
    const { one, database } = await openTwo()
    await sql(`grant connect on database ${quote(database)} to ${quote(login.user)}`)
    const backup = await foreignSession(database, { ...login, application_name: 'pg_dump' })
    // The remaining session has to end.
    const work = await foreignSession(database, login)
    await one.tenants.suspend('a', { drainMs: 0 })
    await work.ended
    expect((await backup.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await one.tenants.offboard('a', { drainMs: 100 })).toMatchObject({ outcome: 'offboarded' })
    await backup.ended
    expect(await sql('select 1 from pg_database where datname = $1', [database])).toEqual([])
  })

  it('that replicate a database delay its archiving no longer than the deadline', async () => {
    const { one, database } = await openTwo()
    const replica = await foreignSession(database, { replication: 'database' })
    await one.tenants.suspend('a', { drainMs: 0 })
    await expectSessions(database, `backend_type = 'walsender'`)
    expect(await one.tenants.offboard('a', { drainMs: 100 })).toMatchObject({ outcome: 'offboarded' })
    await replica.ended
  })

  it('that a plain role may not end are reported as a missing privilege', async () => {
    const login = await createRole('createdb createrole')
    dropAfterwards(login.user)
    const one = await openTestTenantry(models, { postgres: { url: serverUrl(login) } })
    const { tenant } = await one.onboard('a')
    const superior = await foreignSession(tenant.database)
    expect(await errorOf(one.tenants.offboard('a', { drainMs: 0 }))).toMatchObject({
      code: 'permission-denied',
      tenant: 'a',
    })
    await superior.client.end()
    expect(await one.tenants.offboard('a')).toMatchObject({ outcome: 'already-offboarded' })
  })

  it('that send messages to the channel do no harm', async () => {
    const { one, other, count } = await openTwo()
    for (const message of [
      '',
      'x',
      'null',
      '7',
      '[]',
      '{}',
      '{"evict":1}',
      '{"answer":{}}',
      '{"evict":"1","tenant":{}}',
    ]) {
      await inCatalog(one, 'select pg_notify($1, $2)', ['tenantry', message])
    }
    expect(await one.tenants.suspend('a')).toMatchObject({ outcome: 'suspended' })
    expect(await errorOf(count(other))).toMatchObject({ code: 'tenant-not-active' })
  })
})

/** A process of its own that has worked for the tenant `a`: it answers on each question. */
async function startInstance(installation: string) {
  const program = startProgram(new URL('instance.ts', import.meta.url), [serverUrl(), installation, 'a'])
  return { child: program.child, answer: program.next, ask: () => program.ask('again') }
}
