import type { EntityManager } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startServer } from '../support/start-server.ts'
import { errorOf, quote, serverUrl, sqlAt } from '../support/server.ts'
import { commentOn, databasesOf, inCatalog, namesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

let second: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  second = await startServer()
})
afterAll(() => second.stop())

describe.each(['home', 'a server without the catalog'])('of a tenant on %s', (where) => {
  const isHome = where === 'home'
  const server = isHome ? 'one' : 'two'
  const adminUrl = () => (isHome ? serverUrl({ database: 'postgres' }) : second.url)

  /** Returns a Tenantry with the tenant `a`, which has one user; its names, and the state of its server. */
  async function openWithTenant() {
    const servers = [postgres({ name: 'one', url: serverUrl() }), postgres({ name: 'two', url: second.url })]
    const tenantry = await openTestTenantry(models, { servers })
    await tenantry.onboard('a', { server })
    await tenantry.with('a', async (em) => {
      em.create(User, { name: 'sandy', fullname: null })
      await em.flush()
    })
    const admin = (statement: string) => sqlAt(adminUrl(), statement)
    return {
      tenantry,
      admin,
      names: await namesOf(tenantry, 'a'),
      databases: () => databasesOf(tenantry, adminUrl()),
      rename: (from: string, to: string) => admin(`alter database ${quote(from)} rename to ${quote(to)}`),
      /** Writes the row of an interrupted call. */
      set: (assignments: string) => inCatalog(tenantry, `update tenantry.tenant set ${assignments} where id = 'a'`),
    }
  }
  const names = (tenantry: TestTenantry<EntityManager>) =>
    tenantry.with('a', async (em) => (await em.find(User, {})).map(({ name }) => name))

  const offboarded = `state = 'offboarded', resting_state = 'active', purge_after = now() + interval '30 days'`

  it('offboard sets the database aside, restore brings it back with all data, purge leaves nothing', async () => {
    const { tenantry, names: own, databases } = await openWithTenant()
    const { tenant } = await tenantry.tenants.offboard('a')
    expect(await databases()).toEqual([own.archived])
    const days = ((tenant.purgeAfter?.getTime() ?? 0) - tenant.stateSince.getTime()) / 86_400_000
    expect(days).toBeCloseTo(30, 0)
    expect(await tenantry.tenants.restore('a')).toMatchObject({
      outcome: 'restored',
      tenant: { state: 'active', purgeAfter: undefined },
    })
    expect(await databases()).toEqual([own.inService])
    expect(await names(tenantry)).toEqual(['sandy'])
    await tenantry.tenants.offboard('a')
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
    expect(await databases()).toEqual([])
    expect(await tenantry.tenants.get('a')).toBeUndefined()
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'already-purged' })
  })

  it('a tenant that was suspended is suspended after it is restored', async () => {
    const { tenantry } = await openWithTenant()
    await tenantry.tenants.suspend('a')
    await tenantry.tenants.offboard('a')
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored', tenant: { state: 'suspended' } })
    await tenantry.tenants.resume('a')
    expect(await names(tenantry)).toEqual(['sandy'])
  })

  it('offboard that was interrupted before the database was renamed is finished', async () => {
    const { tenantry, names: own, databases, set } = await openWithTenant()
    await set(offboarded)
    expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'already-offboarded' })
    expect(await databases()).toEqual([own.archived])
  })

  it('offboard that was interrupted before the database was renamed is taken back by restore', async () => {
    const { tenantry, names: own, databases, set } = await openWithTenant()
    await set(offboarded)
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored' })
    expect(await databases()).toEqual([own.inService])
    expect(await names(tenantry)).toEqual(['sandy'])
  })

  it('offboard that was interrupted before the database was renamed has to be finished before purge', async () => {
    const { tenantry, names: own, databases, set } = await openWithTenant()
    await set(offboarded)
    expect(await errorOf(tenantry.tenants.purge('a'))).toMatchObject({ code: 'catalog-disagrees', tenant: 'a' })
    expect(await databases()).toEqual([own.inService])
    expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'already-offboarded' })
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
    expect(await databases()).toEqual([])
  })

  it('restore that was interrupted between the name and the row is finished, or taken back by offboard', async () => {
    const { tenantry, names: own, databases, rename } = await openWithTenant()
    await tenantry.tenants.offboard('a')
    await rename(own.archived, own.inService)
    expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'already-offboarded' })
    expect(await databases()).toEqual([own.archived])
    await rename(own.archived, own.inService)
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored' })
    expect(await names(tenantry)).toEqual(['sandy'])
  })

  it.each(['archived', 'renamed to be dropped', 'gone'])('purge that left the database %s is finished', async (how) => {
    const { tenantry, names: own, databases, rename, set, admin } = await openWithTenant()
    await tenantry.tenants.offboard('a')
    if (how !== 'archived') await rename(own.archived, own.pendingDrop)
    if (how === 'gone') await admin(`drop database ${quote(own.pendingDrop)}`)
    await set(`state = 'purging', purge_after = null, resting_state = null`)
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
    expect(await databases()).toEqual([])
    expect(await tenantry.tenants.get('a')).toBeUndefined()
  })

  it('purge that was interrupted between the name and the row is finished, or taken back by restore', async () => {
    const { tenantry, names: own, databases, rename } = await openWithTenant()
    await tenantry.tenants.offboard('a')
    await rename(own.archived, own.pendingDrop)
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored' })
    expect(await names(tenantry)).toEqual(['sandy'])
    await tenantry.tenants.offboard('a')
    await rename(own.archived, own.pendingDrop)
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
    expect(await databases()).toEqual([])
  })

  it.each(['before it', 'between its name and the row', 'after both'])(
    'purge of a tenant that was never finished, interrupted %s, is finished by purge or by onboard',
    async (when) => {
      const { tenantry, names: own, databases, rename, set } = await openWithTenant()
      const unmake = async () => {
        await tenantry.tenants.suspend('a')
        await rename(own.inService, own.building)
        if (when !== 'before it') await rename(own.building, own.pendingDrop)
        await set(
          `state = '${when === 'after both' ? 'purging' : 'onboarding'}', fingerprint = null, activated_at = null`,
        )
      }
      await unmake()
      if (when !== 'after both') {
        expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
        expect(await names(tenantry)).toEqual([])
        expect(await databases()).toEqual([own.inService])
        await unmake()
      }
      expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
      expect(await databases()).toEqual([])
    },
  )

  it('the name is taken when a tenant is to be restored: nothing is touched, and it can be repeated', async () => {
    const { tenantry, names: own, databases, admin, rename } = await openWithTenant()
    await tenantry.tenants.offboard('a')
    await admin(`create database ${quote(own.inService)}`)
    await admin(`comment on database ${quote(own.inService)} is 'theirs'`)
    expect(await errorOf(tenantry.tenants.restore('a'))).toMatchObject({ code: 'foreign-database', tenant: 'a' })
    expect((await tenantry.tenants.get('a'))?.state).toBe('offboarded')
    expect(await databases()).toEqual([own.archived, own.inService].toSorted())
    expect(await commentOn(own.inService, adminUrl())).toBe('theirs')
    await rename(own.inService, `${own.inService}_theirs`)
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored' })
    expect(await names(tenantry)).toEqual(['sandy'])
    // And at the end of a life, a foreign one stays as well.
    await tenantry.tenants.offboard('a')
    await rename(`${own.inService}_theirs`, own.inService)
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
    expect(await databases()).toEqual([own.inService])
    expect(await errorOf(tenantry.onboard('a', { server }))).toMatchObject({ code: 'foreign-database' })
    await admin(`drop database ${quote(own.inService)}`)
  })

  it("a dropped database is missed by restore and offboard, and its tenant's row can be purged", async () => {
    const { tenantry, names: own, admin } = await openWithTenant()
    await admin(`drop database ${quote(own.inService)} with (force)`)
    expect(await errorOf(tenantry.tenants.offboard('a'))).toMatchObject({ code: 'database-missing', tenant: 'a' })
    expect(await errorOf(tenantry.tenants.restore('a'))).toMatchObject({ code: 'database-missing', tenant: 'a' })
    expect((await tenantry.tenants.get('a'))?.state).toBe('offboarded')
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
    expect(await tenantry.tenants.get('a')).toBeUndefined()
  })

  it('the id of a purged tenant is free, and the history of the former is apart from the new', async () => {
    const { tenantry } = await openWithTenant()
    const other = await openTestTenantry(models, {
      installation: tenantry.installation,
      servers: [postgres({ name: 'one', url: serverUrl() }), postgres({ name: 'two', url: second.url })],
    })
    const kept = await Promise.all([tenantry, other].map((own) => own.with('a', (em) => em)))
    for (const em of kept) expect(await em.count(User)).toBe(1)
    await tenantry.tenants.offboard('a')
    await tenantry.tenants.purge('a')
    for (const em of kept) expect(await errorOf(em.count(User))).toMatchObject({ code: 'tenant-unknown' })
    await tenantry.onboard('a', { server })
    for (const own of [tenantry, other]) expect(await names(own)).toEqual([])
    for (const em of kept) expect(await errorOf(em.count(User))).toMatchObject({ code: 'tenant-unknown' })
  })
})
