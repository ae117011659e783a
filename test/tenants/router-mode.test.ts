import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type Tenantry, type TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { createRole, disposableName, dropAfterwards, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { inCatalog, openTestTenantry, snapshot, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('a router', () => {
  let full: TestTenantry<EntityManager>
  let router: Tenantry<EntityManager>

  beforeAll(async () => {
    const login = await createRole()
    dropAfterwards(login.user)
    full = await openTestTenantry(models)
    await full.onboard('a')
    const role = quote(login.user)
    // Nothing else: with the catalog's records, it logs in as the tenants' own roles.
    await inCatalog(full, `grant connect on database ${quote(`${full.installation}_catalog`)} to ${role}`)
    await inCatalog(full, `grant usage on schema tenantry to ${role}`)
    await inCatalog(full, `grant select on all tables in schema tenantry to ${role}`)
    const { installation } = full
    router = await openTestTenantry(models, { installation, mode: 'router', postgres: { url: serverUrl(login) } })
  })

  it('works for tenants and reads the catalog, with no privilege but to read the catalog', async () => {
    await router.with('a', async (em) => {
      em.create(User, { name: 'sandy', fullname: null })
      await em.flush()
    })
    expect(await router.with('a', (em) => em.count(User))).toBe(1)
    expect(await router.run('a', () => router.currentTenant())).toBe('a')
    expect((await router.tenants.list()).map(({ id }) => id)).toEqual(['a'])
    expect(await router.tenants.get('a')).toMatchObject({ id: 'a', state: 'active' })
    expect(await router.tenants.history('a')).toHaveLength(2)
    expect(await router.status()).toMatchObject({ tenants: { active: 1 } })
    expect(await router.tenants.environment('a')).toMatchObject({ PGDATABASE: `${full.installation}_t_a` })
    expect(await router.tenants.check('a')).toMatchObject({ outcome: 'matches' })
    expect(await router.servers.reconcile({ dryRun: true })).toMatchObject({ findings: [], unreachable: [] })
    await full.domains.add('a', 'a.example')
    await full.domains.verify('a', 'a.example', { proof: 'given' })
    expect(await router.domains.tenantOf('a.example')).toMatchObject({ tenant: 'a' })
    expect(await router.domains.list('a')).toMatchObject([{ domain: 'a.example', verified: true }])
    expect(await router.domains.get('a.example')).toMatchObject({ tenant: 'a' })
  })

  it('refuses every change, and changes nothing', async () => {
    const before = await snapshot(full)
    const verbs = [
      () => router.onboard('b'),
      () => router.tenants.update('a', { displayName: 'A' }),
      () => router.tenants.suspend('a'),
      () => router.tenants.resume('a'),
      () => router.tenants.offboard('a'),
      () => router.tenants.restore('a'),
      () => router.tenants.purge('a'),
      () => router.tenants.purgeExpired(),
      () => router.tenants.clone('a', 'b'),
      () => router.tenants.adopt('b', { database: 'any' }),
      () => router.servers.reconcile(),
      () => router.servers.reconcile({ dryRun: false }),
      () => router.domains.add('a', 'b.example'),
      () => router.domains.verify('a', 'a.example', { proof: 'given' }),
      () => router.domains.remove('a', 'a.example'),
    ]
    for (const verb of verbs) {
      const error = (await errorOf(verb())) as TenantryError
      expect(error).toMatchObject({ name: 'TenantryError', code: 'router-only', retryable: false })
      expect(error.hint).toMatch(/\S/)
    }
    expect(await snapshot(full)).toEqual(before)
  })

  it('heeds changes of a tenant by others', async () => {
    const kept = await router.with('a', (em) => em)
    await full.tenants.suspend('a')
    expect(await errorOf(router.with('a', () => 1))).toMatchObject({ code: 'tenant-not-active' })
    expect(await errorOf(kept.count(User))).toMatchObject({ code: 'tenant-not-active' })
    await full.tenants.resume('a')
    expect(await kept.count(User)).toBe(1)
  })
})

describe('opening a router', () => {
  const open = (installation: string, url = serverUrl()) =>
    openTenantry({ models, servers: [postgres({ url })], installation, mode: 'router' })

  it('makes no catalog where there is none', async () => {
    const installation = disposableName('i')
    expect(await errorOf(open(installation))).toMatchObject({ code: 'catalog-missing', retryable: false })
    expect(await sql('select 1 from pg_database where starts_with(datname, $1)', [installation])).toEqual([])
    await sql(`create database ${quote(`${installation}_catalog`)}`)
    expect(await errorOf(open(installation))).toMatchObject({ code: 'catalog-missing', retryable: false })
    const schemas = await sql(`select 1 from pg_namespace where nspname = 'tenantry'`, [], `${installation}_catalog`)
    expect(schemas).toEqual([])
  })

  it('refuses a catalog that is older than it needs, until another process has migrated it', async () => {
    const full = await openTestTenantry(models)
    const newest = '(select max(number) from tenantry.migration)'
    const [row] = await inCatalog(full, `delete from tenantry.migration where number = ${newest} returning *`)
    const error = (await errorOf(open(full.installation))) as TenantryError
    expect(error).toMatchObject({ code: 'catalog-older', retryable: true })
    expect(error.hint).toMatch(/\S/)
    expect(await inCatalog(full, `select 1 from tenantry.migration where number = $1`, [row?.['number']])).toEqual([])
    await inCatalog(full, 'insert into tenantry.migration (number, compatible_from) values ($1, $2)', [
      row?.['number'],
      row?.['compatible_from'],
    ])
    await (await open(full.installation)).close()
  })

  it('as a role that may not read the catalog gets that error', async () => {
    const login = await createRole()
    dropAfterwards(login.user)
    const full = await openTestTenantry(models)
    expect(await errorOf(open(full.installation, serverUrl(login)))).toMatchObject({ code: 'permission-denied' })
  })

  it('in a mode that is none is refused', async () => {
    const config = {
      models,
      servers: [postgres({ url: serverUrl() })],
      installation: disposableName('i'),
      mode: 'reader',
    }
    expect(await errorOf(openTenantry(config as never))).toMatchObject({ code: 'invalid-option' })
  })
})
