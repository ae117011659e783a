import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type Tenant, type TenantHook } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { disposableName, errorOf, serverUrl } from '../support/server.ts'
import { sessionsIn } from '../support/sessions.ts'
import { databasesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })
const addUser: TenantHook<EntityManager> = async (em) => {
  em.create(User, { name: 'first', fullname: null })
  await em.flush()
}

describe('initialise', () => {
  it('gets a handle on the new database and the tenant, in its context, once', async () => {
    const calls: { tenant: Tenant; current: string; database: unknown }[] = []
    const tenantry: TestTenantry<EntityManager> = await openTestTenantry(models, {
      hooks: {
        initialise: async (em, tenant) => {
          const [row] = await em.execute('select current_database() as name')
          calls.push({ tenant, current: tenantry.currentTenant(), database: row?.['name'] })
          await addUser(em, tenant)
        },
      },
    })
    await tenantry.onboard('a', { displayName: 'A', metadata: { plan: 'pro' } })
    await tenantry.onboard('a')
    expect(calls).toHaveLength(1)
    expect(calls[0]).toMatchObject({
      tenant: { id: 'a', displayName: 'A', metadata: { plan: 'pro' }, state: 'onboarding', server: 'main' },
      current: 'a',
      database: expect.stringMatching(`^${tenantry.installation}_building_`),
    })
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(1)
    expect(() => tenantry.currentTenant()).toThrow(expect.objectContaining({ code: 'no-tenant' }))
  })

  it("runs in the new tenant's context also where it is onboarded from inside of another's", async () => {
    const current: string[] = []
    const tenantry: TestTenantry<EntityManager> = await openTestTenantry(models, {
      hooks: { initialise: () => current.push(tenantry.currentTenant()) },
    })
    await tenantry.onboard('a')
    await tenantry.run('a', () => tenantry.onboard('b'))
    expect(current).toEqual(['a', 'b'])
  })

  it('that fails leaves the tenant inactive, and runs again in a new database when the call is repeated', async () => {
    const cause = new Error('not yet')
    const failures = [cause, 'a string', undefined]
    const tenantry = await openTestTenantry(models, {
      hooks: {
        initialise: async (em, tenant) => {
          expect(await em.count(User)).toBe(0)
          await addUser(em, tenant)
          // oxlint-disable-next-line typescript/only-throw-error -- a hook is not ours, and may throw anything
          if (failures.length > 0) throw failures.shift()
        },
      },
    })
    const error = await errorOf(tenantry.onboard('a'))
    expect(error).toMatchObject({ code: 'hook-failed', retryable: true, tenant: 'a', cause })
    expect(await errorOf(tenantry.with('a', () => 1))).toMatchObject({ code: 'tenant-not-active', retryable: true })
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject({ code: 'hook-failed', cause: 'a string' })
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject({ code: 'hook-failed' })
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(1)
    expect(await databasesOf(tenantry)).toEqual([`${tenantry.installation}_t_a`])
  })

  it('may leave a transaction open: it is rolled back, and no connection stays', async () => {
    const tenantry = await openTestTenantry(models, {
      hooks: {
        initialise: async (em, tenant) => {
          await em.begin()
          await addUser(em, tenant)
        },
      },
    })
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
    expect(await sessionsIn(`${tenantry.installation}_t_a`)).toEqual([])
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
  })

  it('is ended by the signal of the call', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const tenantry = await openTestTenantry(models, {
      hooks: {
        initialise: async (em) => {
          const sleeping = em.execute('select pg_sleep(60)')
          controller.abort(reason)
          await sleeping
        },
      },
    })
    const error = await errorOf(tenantry.onboard('a', { signal: controller.signal }))
    expect(error).toMatchObject({ code: 'aborted', cause: reason, tenant: 'a' })
  })

  it('that is no function is refused before anything is touched', async () => {
    const config = {
      models,
      servers: [postgres({ url: serverUrl() })],
      installation: disposableName('i'),
      hooks: { initialise: 'x' },
    }
    expect(await errorOf(openTenantry(config as never))).toMatchObject({ code: 'invalid-option' })
  })
})
