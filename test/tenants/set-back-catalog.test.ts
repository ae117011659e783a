import type { EntityManager } from '@mikro-orm/postgresql'
import { ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { commentOn, inCatalog, namesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

// The catalog is set back to an older backup, while the server went on. The stamp on each database has the state that its
// tenant was brought into, and the number of that transition: nothing is destroyed that the server has in service.

const models = mikroOrm({ entities: [User, Address] })
type Opened = TestTenantry<EntityManager>

/** Keeps the records of tenants as a backup does. @returns a function that sets the catalog back to it */
async function backUp(tenantry: Opened): Promise<() => Promise<void>> {
  await inCatalog(tenantry, 'create table public.backup as select * from tenantry.tenant')
  return async () => {
    await inCatalog(
      tenantry,
      `update tenantry.tenant t
       set state = b.state, resting_state = b.resting_state, purge_after = b.purge_after, transition = b.transition,
           activated_at = b.activated_at
       from public.backup b where b.row_id = t.row_id`,
    )
    await inCatalog(tenantry, 'drop table public.backup')
  }
}

const count = (tenantry: Opened, id: string) => tenantry.with(id, (em) => em.count(User))
const add = (tenantry: Opened, id: string) =>
  tenantry.with(id, async (em) => {
    em.create(User, { name: 'since', fullname: null })
    await em.flush()
  })
const canLogIn = async (tenantry: Opened, id: string) => {
  const { user } = await tenantry.tenants.credentials(id)
  const [row] = await sql<{ rolcanlogin: boolean }>('select rolcanlogin from pg_roles where rolname = $1', [user])
  return row!.rolcanlogin
}

/** A tenant that was offboarded in the backup, and is in service. */
async function setBack(): Promise<Opened> {
  const tenantry = await openTestTenantry(models)
  await tenantry.onboard('a')
  await tenantry.tenants.offboard('a', { retentionDays: 0 })
  const goBack = await backUp(tenantry)
  await tenantry.tenants.restore('a')
  await add(tenantry, 'a')
  await goBack()
  return tenantry
}

describe('a catalog set back to when a tenant was offboarded, which was restored since', () => {
  it('destroys nothing: purge and purgeExpired stop with an error', async () => {
    const tenantry = await setBack()
    expect(await errorOf(tenantry.tenants.purge('a'))).toMatchObject({ code: 'catalog-disagrees', tenant: 'a' })
    const { purged, failed } = await tenantry.tenants.purgeExpired()
    expect({ purged, failed }).toMatchObject({
      purged: [],
      failed: [{ tenant: 'a', error: { code: 'catalog-disagrees' } }],
    })
  })

  it('is brought up to date by reconcile, from the server', async () => {
    const tenantry = await setBack()
    const { isCatalogOlder, findings } = await tenantry.servers.reconcile()
    expect(isCatalogOlder).toBe(true)
    expect(findings).toMatchObject([{ kind: 'outdated', action: 'finish', outcome: 'done', tenant: 'a' }])
    expect(await tenantry.tenants.get('a')).toMatchObject({ state: 'active' })
    expect(await count(tenantry, 'a')).toBe(1)
    expect(await tenantry.servers.reconcile()).toMatchObject({ isCatalogOlder: false, findings: [] })
  })

  it('is brought up to date by repeating the verb', async () => {
    const tenantry = await setBack()
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored' })
    expect(await count(tenantry, 'a')).toBe(1)
    expect((await tenantry.servers.reconcile()).findings).toEqual([])
  })
})

describe('a catalog set back to when a tenant was active, which was suspended since', () => {
  it('does not enable its login: neither reconcile nor rotateCredentials does', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    const goBack = await backUp(tenantry)
    await tenantry.tenants.suspend('a')
    await goBack()
    expect(await errorOf(tenantry.tenants.rotateCredentials('a'))).toMatchObject({ code: 'catalog-disagrees' })
    const { findings } = await tenantry.servers.reconcile()
    expect(findings).toMatchObject([{ kind: 'outdated', outcome: 'done', tenant: 'a' }])
    expect(await tenantry.tenants.get('a')).toMatchObject({ state: 'suspended' })
    expect(await canLogIn(tenantry, 'a')).toBe(false)
  })
})

describe('a catalog set back to when a tenant was active, which was offboarded since', () => {
  it('reports it, and offboard brings it up to date', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    const goBack = await backUp(tenantry)
    await tenantry.tenants.offboard('a')
    await goBack()
    const { archived } = await namesOf(tenantry, 'a')
    const { findings } = await tenantry.servers.reconcile()
    expect(findings).toMatchObject([{ kind: 'outdated', action: 'none', outcome: 'left', database: archived }])
    expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'offboarded' })
    expect((await tenantry.servers.reconcile()).findings).toEqual([])
    expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
  })
})

describe('a catalog set back to when a tenant was being made, which is in service since', () => {
  it('is not taken back by purge, and becomes active by reconcile', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    await add(tenantry, 'a')
    await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', transition = 0, activated_at = null`)
    expect(await errorOf(tenantry.tenants.purge('a'))).toMatchObject({ code: 'catalog-disagrees' })
    await tenantry.servers.reconcile()
    expect(await count(tenantry, 'a')).toBe(1)
  })

  it('is left to a person where it was suspended since', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    await tenantry.tenants.suspend('a')
    await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', transition = 0, activated_at = null`)
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject({ code: 'catalog-disagrees' })
    const { findings } = await tenantry.servers.reconcile()
    expect(findings).toMatchObject([{ kind: 'outdated', action: 'none', outcome: 'left', tenant: 'a' }])
  })
})

/** Takes the stamp from a tenant's database, and opens it to all, as pg_restore into a new database does. */
async function loseStamp(tenantry: Opened, id: string): Promise<string> {
  const { inService } = await namesOf(tenantry, id)
  await sql(`comment on database ${quote(inService)} is null`)
  await sql(`grant connect on database ${quote(inService)} to public`)
  return inService
}

describe('restamp', () => {
  it.each(['active', 'suspended'] as const)(
    'gives a database its stamp again, of a tenant that is %s',
    async (state) => {
      const tenantry = await openTestTenantry(models)
      await tenantry.onboard('a')
      await add(tenantry, 'a')
      if (state === 'suspended') await tenantry.tenants.suspend('a')
      const before = await commentOn((await namesOf(tenantry, 'a')).inService)
      const database = await loseStamp(tenantry, 'a')
      expect(await tenantry.tenants.restamp('a', { actor: 'ann' })).toMatchObject({
        outcome: 'restamped',
        tenant: { state },
      })
      expect(await tenantry.tenants.restamp('a')).toMatchObject({ outcome: 'already-stamped' })
      const stamp = JSON.parse((await commentOn(database)) ?? '') as object
      expect(stamp).toMatchObject({
        ...(JSON.parse(before ?? '') as object),
        transition: expect.any(Number),
        state: expect.any(String),
      })
      const [row] = await sql<{ open: boolean }>(`select has_database_privilege('public', $1, 'connect') as open`, [
        database,
      ])
      expect(row).toEqual({ open: false })
      if (state === 'suspended') await tenantry.tenants.resume('a')
      expect(await count(tenantry, 'a')).toBe(1)
      expect((await tenantry.tenants.history('a')).map(({ verb }) => verb)).toContain('restamp')
      expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'offboarded' })
      expect((await tenantry.servers.reconcile()).findings).toEqual([])
    },
  )

  it('refuses a database that differs from the models, unless that is accepted', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    const database = await loseStamp(tenantry, 'a')
    await sql('drop table address', [], database)
    expect(await errorOf(tenantry.tenants.restamp('a'))).toMatchObject({ code: 'verification-failed', tenant: 'a' })
    expect(await commentOn(database)).toBeUndefined()
    expect(await tenantry.tenants.restamp('a', { differences: 'allow' })).toMatchObject({ outcome: 'restamped' })
  })

  it('lets an offboarding go on that found no stamp', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    await loseStamp(tenantry, 'a')
    expect(await errorOf(tenantry.tenants.offboard('a'))).toMatchObject({ code: 'foreign-database' })
    expect(await tenantry.tenants.restamp('a')).toMatchObject({ outcome: 'restamped' })
    expect(await tenantry.tenants.offboard('a')).toMatchObject({ outcome: 'already-offboarded' })
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored', tenant: { state: 'active' } })
    expect(await count(tenantry, 'a')).toBe(0)
  })

  it("refuses another tenant's database, a missing one, and a tenant that is being made", async () => {
    const tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b', 'c']) await tenantry.onboard(id)
    const [a, b] = [await namesOf(tenantry, 'a'), await namesOf(tenantry, 'b')]
    await sql(`drop database ${quote(a.inService)}`)
    expect(await errorOf(tenantry.tenants.restamp('a'))).toMatchObject({ code: 'database-missing' })
    await sql(`alter database ${quote(b.inService)} rename to ${quote(a.inService)}`)
    expect(await errorOf(tenantry.tenants.restamp('a'))).toMatchObject({ code: 'foreign-database' })
    await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', activated_at = null where id = 'c'`)
    expect(await errorOf(tenantry.tenants.restamp('c'))).toMatchObject({ code: 'tenant-state' })
    expect(await errorOf(tenantry.tenants.restamp('none'))).toMatchObject({ code: 'tenant-unknown' })
    expect(await errorOf(tenantry.tenants.restamp('a', { differences: 'no' as never }))).toMatchObject({
      code: 'invalid-option',
    })
  })
})

/** A tenant that was adopted, and that the catalog has as being adopted. */
async function adopted() {
  const tenantry = await openTestTenantry(models)
  const database = `${tenantry.installation}_theirs`
  await sql(`create database ${quote(database)}`)
  await ensureTables(serverUrl({ database }), models)
  await tenantry.tenants.adopt('a', { database })
  await add(tenantry, 'a')
  await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', activated_at = null, transition = 0`)
  return { tenantry, database }
}

describe('a catalog that has a finished adoption as unfinished', () => {
  it('does not take the tenant out of service', async () => {
    const { tenantry, database } = await adopted()
    expect(await errorOf(tenantry.tenants.purge('a'))).toMatchObject({ code: 'catalog-disagrees', tenant: 'a' })
    expect(await tenantry.tenants.adopt('a', { database })).toMatchObject({ outcome: 'adopted' })
    expect(await count(tenantry, 'a')).toBe(1)
  })

  // On a server without the catalog, an adoption that is interrupted between the two commits leaves the same.
  it('is brought up to date by reconcile, with a new password', async () => {
    const { tenantry } = await adopted()
    await inCatalog(tenantry, 'delete from tenantry.credential')
    const { findings } = await tenantry.servers.reconcile()
    expect(findings).toMatchObject([{ kind: 'unfinished', action: 'finish', outcome: 'done', tenant: 'a' }])
    expect(await count(tenantry, 'a')).toBe(1)
    expect((await tenantry.servers.reconcile()).findings).toEqual([])
  })
})

describe('a temporary role of an adoption that was interrupted in its hook', () => {
  it.each([
    ['undone', 'foreign'],
    ['repeated', undefined],
  ])('is dropped by reconcile, when the adoption is %s', async (then, left) => {
    const tenantry = await openTestTenantry(models)
    const database = `${tenantry.installation}_theirs`
    await sql(`create database ${quote(database)}`)
    await ensureTables(serverUrl({ database }), models)
    await tenantry.tenants.adopt('a', { database })
    const [row] = await inCatalog<{ id: string }>(
      tenantry,
      `select replace(row_id::text, '-', '') as id from tenantry.tenant`,
    )
    const helper = `${tenantry.installation}_r_h_${row?.id}_0a1b2c3d`
    await sql(`create role ${helper}`)
    await sql(`grant connect on database ${quote(database)} to ${helper}`)
    await sql(`grant select on user_account to ${helper}`, [], database)
    if (then === 'undone') {
      await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', activated_at = null, transition = 0`)
      await sql(`comment on database ${quote(database)} is null`)
    }
    const { findings } = await tenantry.servers.reconcile()
    expect(findings.filter(({ action }) => action !== 'none').map(({ outcome }) => outcome)).not.toContain('left')
    expect(await sql(`select from pg_roles where rolname = $1`, [helper])).toEqual([])
    const kinds = (await tenantry.servers.reconcile()).findings.map(({ kind }) => kind)
    expect(kinds).toEqual(left === undefined ? [] : [left])
  })
})
