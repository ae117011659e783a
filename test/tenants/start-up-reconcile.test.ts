import type { TenantryEvent } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf } from '../support/server.ts'
import { databasesOf, inCatalog, openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/** An installation in which the making of `a` failed, and its row has stood for so long. */
async function withUnfinished(age: string): Promise<string> {
  const failing = await openTestTenantry(models, {
    hooks: {
      initialise: (_, { id }) => {
        if (id === 'a') throw new Error('no')
      },
    },
  })
  await errorOf(failing.onboard('a'))
  await failing.onboard('b')
  await inCatalog(failing, `update tenantry.tenant set state_since = now() - $1::interval where id = 'a'`, [age])
  await failing.close()
  return failing.installation
}

/** Opens, and waits for the report on interrupted work. */
async function openAndTidy(installation: string): Promise<TenantryEvent> {
  const tenantry = await openTestTenantry(models, { installation })
  return new Promise((resolve) => {
    tenantry.on((event) => {
      if (event.event === 'reconciled') resolve(event)
    })
  })
}

describe('at its start, a process', () => {
  it('undoes work that was interrupted long ago', async () => {
    const installation = await withUnfinished('11 minutes')
    expect(await openAndTidy(installation)).toMatchObject({ done: 1, failed: 0, error: undefined })
    const tenantry = await openTestTenantry(models, { installation })
    expect((await tenantry.tenants.list()).map(({ id, state }) => [id, state])).toEqual([['b', 'active']])
    expect(await databasesOf(tenantry)).toEqual([`${installation}_t_b`])
    expect((await tenantry.tenants.history('a'))[0]).toMatchObject({ verb: 'purge', actor: 'tenantry at start-up' })
  })

  it('finishes a purge that was interrupted long ago', async () => {
    const installation = await withUnfinished('1 minute')
    const tenantry = await openTestTenantry(models, { installation })
    await tenantry.tenants.offboard('b')
    await inCatalog(tenantry, `update tenantry.tenant set state = 'purging', state_since = '2020-01-01' where id = 'b'`)
    expect(await openAndTidy(installation)).toMatchObject({ done: 1 })
    expect((await tenantry.tenants.list()).map(({ id }) => id)).toEqual(['a'])
  })

  it('leaves work to its maker that was interrupted a moment ago', async () => {
    const installation = await withUnfinished('9 minutes')
    const events: TenantryEvent[] = []
    const tenantry = await openTestTenantry(models, { installation })
    tenantry.on((event) => events.push(event))
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
    await tenantry.close()
    expect(events.filter(({ event }) => event === 'reconciled')).toEqual([])
  })

  it('destroys nothing where the servers know of more than the catalog', async () => {
    const installation = await withUnfinished('11 minutes')
    await inCatalog({ installation }, `delete from tenantry.tenant where id = 'b'`)
    expect(await openAndTidy(installation)).toMatchObject({ done: 0, failed: 0 })
    const tenantry = await openTestTenantry(models, { installation })
    expect(await tenantry.tenants.get('a')).toMatchObject({ state: 'onboarding' })
  })
})

describe('the audit trail', () => {
  it('reports changes that began and failed, and none that were refused', async () => {
    const installation = await withUnfinished('1 minute')
    const tenantry = await openTestTenantry(models, { installation })
    const entries = await tenantry.tenants.history('a')
    expect(entries.map(({ verb, from, to, outcome, error }) => [verb, from, to, outcome, error])).toEqual([
      ['onboard', 'onboarding', 'onboarding', 'failed', 'hook-failed'],
      ['onboard', undefined, 'onboarding', 'done', undefined],
    ])
    await errorOf(tenantry.tenants.resume('a'))
    await errorOf(tenantry.onboard('b', { existing: 'refuse' }))
    expect(await tenantry.tenants.history('a')).toHaveLength(2)
    expect((await tenantry.tenants.history('b')).map(({ outcome }) => outcome)).toEqual(['done', 'done'])
  })
})
