import type { TenantEvent } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { createRole, dropAfterwards, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { inCatalog, onChange, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/** Collects the events from now on. */
function listen(tenantry: TestTenantry<unknown>): TenantEvent[] {
  const events: TenantEvent[] = []
  onChange(tenantry, (event) => events.push(event))
  return events
}

const transitions = (of: readonly Pick<TenantEvent, 'verb' | 'from' | 'to'>[]) =>
  of.map(({ verb, from, to }) => [verb, from, to])

/** Every change of a life, in its order. */
const life = [
  ['onboard', undefined, 'onboarding'],
  ['onboard', 'onboarding', 'active'],
  ['update', 'active', 'active'],
  ['suspend', 'active', 'suspended'],
  ['resume', 'suspended', 'active'],
  ['offboard', 'active', 'offboarded'],
  ['restore', 'offboarded', 'active'],
  ['offboard', 'active', 'offboarded'],
  ['purge', 'offboarded', 'purging'],
  ['purge', 'purging', undefined],
]

async function live(tenantry: TestTenantry<unknown>, actor: string): Promise<void> {
  await tenantry.onboard('a', { actor })
  await tenantry.tenants.update('a', { displayName: 'A', actor })
  await tenantry.tenants.suspend('a', { actor })
  await tenantry.tenants.resume('a', { actor })
  await tenantry.tenants.offboard('a', { actor })
  await tenantry.tenants.restore('a', { actor })
  await tenantry.tenants.offboard('a', { actor })
  await tenantry.tenants.purge('a', { actor })
}

describe('every change of a tenant', () => {
  it('is recorded with its actor and role, and emitted; also after the tenant was removed', async () => {
    const login = await createRole('createdb createrole')
    dropAfterwards(login.user)
    const tenantry = await openTestTenantry<unknown>(models, { postgres: { url: serverUrl(login) } })
    const events = listen(tenantry)
    const actor = `O'Neil "x" \\ 🦑`
    await live(tenantry, actor)
    const history = await tenantry.tenants.history('a')
    expect(transitions(history.toReversed())).toEqual(life)
    expect(transitions(events)).toEqual(life)
    for (const entry of history) expect(entry).toMatchObject({ tenant: 'a', actor, role: login.user })
    for (const event of events) expect(event).toMatchObject({ tenant: 'a', server: 'main' })
    expect(events.every(({ durationMs }) => durationMs > 0)).toBe(true)
    const times = history.map(({ at }) => at.getTime())
    expect(times).toEqual(times.toSorted((one, other) => other - one))
    expect((await tenantry.tenants.history('a', { limit: 3 })).length).toBe(3)
    expect(await tenantry.tenants.history('nobody')).toEqual([])
  })

  it('has no actor if none was given, and has the verbs clone and adopt', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const events = listen(tenantry)
    await tenantry.onboard('a')
    await tenantry.tenants.clone('a', 'b')
    const making = (verb: string) => [
      [verb, undefined, 'onboarding'],
      [verb, 'onboarding', 'active'],
    ]
    expect(transitions((await tenantry.tenants.history('b')).toReversed())).toEqual(making('clone'))
    const database = `${tenantry.installation}_own`
    await sql(`create database ${quote(database)} template ${quote(`${tenantry.installation}_t_b`)}`)
    await tenantry.tenants.adopt('c', { database })
    const adopted = await tenantry.tenants.history('c')
    expect(transitions(adopted.toReversed())).toEqual(making('adopt'))
    expect(adopted.map(({ actor }) => actor)).toEqual([undefined, undefined])
    expect(transitions(events)).toEqual([...making('onboard'), ...making('clone'), ...making('adopt')])
  })

  it('that was done already is neither recorded nor emitted again', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    await tenantry.onboard('a')
    await tenantry.tenants.suspend('a')
    const [before, events] = [await tenantry.tenants.history('a'), listen(tenantry)]
    await tenantry.onboard('a')
    await tenantry.tenants.suspend('a')
    await tenantry.tenants.update('a', {})
    expect(await tenantry.tenants.history('a')).toEqual(before)
    expect(events).toEqual([])
  })

  it('that is withdrawn is recorded and emitted', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const events = listen(tenantry)
    await sql(`create database ${quote(`${tenantry.installation}_t_a`)}`)
    await errorOf(tenantry.onboard('a', { actor: 'me' }))
    const expected = [
      ['onboard', undefined, 'onboarding'],
      ['withdraw', 'onboarding', undefined],
    ]
    expect(transitions((await tenantry.tenants.history('a')).toReversed())).toEqual(expected)
    expect(transitions(events)).toEqual(expected)
    expect((await tenantry.tenants.history('a')).map(({ actor }) => actor)).toEqual(['me', 'me'])
    expect(await errorOf(tenantry.tenants.purge('a'))).toMatchObject({ code: 'tenant-unknown' })
  })

  it('that cannot be committed is neither recorded nor emitted', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const events = listen(tenantry)
    // Refuses at the very end of the transaction, after everything in it has been done.
    await inCatalog(tenantry, `create function no() returns trigger language plpgsql as $$ begin raise 'no'; end $$`)
    await inCatalog(
      tenantry,
      `create constraint trigger no after update on tenantry.tenant deferrable initially deferred
       for each row execute function no()`,
    )
    await errorOf(tenantry.onboard('a'))
    const begun = [['onboard', undefined, 'onboarding']]
    const [failure, ...before] = await tenantry.tenants.history('a')
    expect(transitions(before)).toEqual(begun)
    expect(failure).toMatchObject({ outcome: 'failed', error: 'query-failed', from: 'onboarding', to: 'onboarding' })
    expect(transitions(events)).toEqual(begun)
    await inCatalog(tenantry, 'drop trigger no on tenantry.tenant')
    await tenantry.onboard('a')
    expect(transitions(events)).toEqual([...begun, ['onboard', 'onboarding', 'active']])
  })

  it('can be read by its listeners', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const seen: Promise<unknown>[] = []
    onChange(tenantry, ({ tenant, to }) => seen.push(tenantry.tenants.get(tenant).then((found) => [to, found?.state])))
    await tenantry.onboard('a')
    await tenantry.tenants.suspend('a')
    expect((await Promise.all(seen)).at(-1)).toEqual(['suspended', 'suspended'])
    expect(seen).toHaveLength(3)
  })

  it('reaches a listener no more once it is removed, and the others as before', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const others = listen(tenantry)
    const events: TenantEvent[] = []
    const end = onChange(tenantry, (event) => events.push(event))
    await tenantry.onboard('a')
    end()
    await tenantry.tenants.suspend('a')
    expect([events.length, others.length]).toEqual([2, 3])
  })

  it('succeeds although a listener throws, reaches the others, and the error is not swallowed', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const mine = new Error('mine')
    const heard = catchUncaught()
    tenantry.on(() => {
      throw mine
    })
    const events = listen(tenantry)
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
    expect(await tenantry.tenants.suspend('a')).toMatchObject({ outcome: 'suspended' })
    expect(transitions(events)).toEqual([...life.slice(0, 2), ['suspend', 'active', 'suspended']])
    // Three changes of the tenant, and the template that was built.
    expect(heard).toEqual([mine, mine, mine, mine])
  })
})

/** Collects the uncaught errors of this test, in place of the test runner. */
function catchUncaught(): unknown[] {
  const heard: unknown[] = []
  const former = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => heard.push(error))
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of former) process.on('uncaughtException', listener)
  })
  return heard
}
