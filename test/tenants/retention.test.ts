import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf } from '../support/server.ts'
import { databasesOf, inCatalog, onChange, openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('purgeExpired', () => {
  it('purges tenants with an ended retention, and no others', async () => {
    const tenantry = await openTestTenantry(models)
    for (const id of ['gone', 'kept', 'back', 'here']) await tenantry.onboard(id)
    for (const id of ['gone', 'back']) await tenantry.tenants.offboard(id, { retentionDays: 0 })
    await tenantry.tenants.offboard('kept')
    await tenantry.tenants.restore('back')
    expect((await tenantry.tenants.list({ expired: true })).map(({ id }) => id)).toEqual(['gone'])
    expect(await tenantry.tenants.purgeExpired()).toEqual({ purged: ['gone'], failed: [] })
    expect((await tenantry.tenants.list()).map(({ id, state }) => [id, state])).toEqual([
      ['back', 'active'],
      ['here', 'active'],
      ['kept', 'offboarded'],
    ])
    expect(await databasesOf(tenantry)).toHaveLength(3)
    expect(await tenantry.tenants.purgeExpired()).toEqual({ purged: [], failed: [] })
  })

  it('finishes a purge that was interrupted, too; in the order of ids', async () => {
    const tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b']) {
      await tenantry.onboard(id)
      await tenantry.tenants.offboard(id, { retentionDays: 0 })
    }
    await inCatalog(tenantry, `update tenantry.tenant set state = 'purging', purge_after = null where id = 'b'`)
    expect((await tenantry.tenants.list({ expired: true })).map(({ id }) => id)).toEqual(['a', 'b'])
    expect(await tenantry.tenants.purgeExpired({ limit: 1 })).toEqual({ purged: ['a'], failed: [] })
    expect(await tenantry.tenants.purgeExpired()).toEqual({ purged: ['b'], failed: [] })
    expect(await databasesOf(tenantry)).toEqual([])
  })

  it('leaves one that is restored while it is under way, and goes on', async () => {
    const tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b', 'c']) {
      await tenantry.onboard(id)
      await tenantry.tenants.offboard(id, { retentionDays: 0 })
    }
    // The list is read by then, and "a" is purged first.
    onChange(tenantry, ({ tenant, to }) => {
      if (tenant === 'a' && to === 'purging') restoring = errorOf(tenantry.tenants.restore('b')).catch(() => undefined)
    })
    let restoring: Promise<unknown> | undefined
    const { purged, failed } = await tenantry.tenants.purgeExpired()
    const refused = await restoring
    expect(failed).toEqual([])
    expect(purged).toEqual(refused === undefined ? ['a', 'c'] : ['a', 'b', 'c'])
  })

  it('reports tenants that it could not purge, and continues', async () => {
    const tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b']) {
      await tenantry.onboard(id)
      await tenantry.tenants.offboard(id, { retentionDays: 0 })
    }
    await inCatalog(
      tenantry,
      `create function tenantry.no() returns trigger language plpgsql as 'begin return null; end'`,
    )
    await inCatalog(
      tenantry,
      `create trigger no before update on tenantry.tenant for each row when (old.id = 'a') execute function tenantry.no()`,
    )
    const { purged, failed } = await tenantry.tenants.purgeExpired()
    expect(purged).toEqual(['b'])
    expect(failed.map(({ tenant }) => tenant)).toEqual(['a'])
  })

  it.each([0, -1, 1.5, Number.NaN])('refuses a limit of %s', async (limit) => {
    const tenantry = await openTestTenantry(models)
    expect(await errorOf(tenantry.tenants.purgeExpired({ limit }))).toMatchObject({ code: 'invalid-option' })
  })

  it.each([-1, 0.5])('has no retention of %s days', async (retentionDays) => {
    const tenantry = await openTestTenantry(models)
    expect(await errorOf(tenantry.tenants.offboard('a', { retentionDays }))).toMatchObject({ code: 'invalid-option' })
  })
})
