import { defineEntity, p } from '@mikro-orm/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { createProvisioner, openAs } from '../isolation/support.ts'
import { errorOf, quote, serverUrl, sql, sqlAt } from '../support/server.ts'
import { commentOn, namesOf, onChange, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const older = mikroOrm({
  entities: [defineEntity({ name: 'Note', properties: { id: p.integer().primary(), text: p.text() } })],
})
const Note = defineEntity({
  name: 'Note',
  properties: { id: p.integer().primary(), text: p.text(), done: p.boolean().default(false) },
})
const newer = mikroOrm({ entities: [Note] })
const change = 'alter table note add column done boolean not null default false'

/** Two processes, the second of a newer version; the tenant acme has the older one's tables. */
async function twoVersions(): Promise<{ first: TestTenantry<EntityManager>; second: TestTenantry<EntityManager> }> {
  const first = await openTestTenantry(older)
  await first.onboard('acme')
  const { installation } = first
  return { first, second: await openTestTenantry(newer, { installation, whenBehind: 'refuse' }) }
}

async function alter(tenantry: TestTenantry<EntityManager>, statement: string): Promise<void> {
  const { inService } = await namesOf(tenantry, 'acme')
  await sql(statement, [], inService)
}

describe('accept', () => {
  it('records the version of a tenant whose tables were changed by hand', async () => {
    const { second } = await twoVersions()
    expect(await errorOf(second.with('acme', (em) => em.count(Note)))).toMatchObject({ code: 'tenant-behind' })
    await alter(second, change)
    const events: unknown[] = []
    onChange(second, (event) => events.push(event))
    const { outcome, tenant, repaired } = await second.tenants.accept('acme', { actor: 'anna' })
    expect({ outcome, version: tenant.version, repaired }).toEqual({ outcome: 'accepted', version: 2, repaired: [] })
    expect(await second.with('acme', (em) => em.count(Note))).toBe(0)
    const { inService } = await namesOf(second, 'acme')
    expect(JSON.parse((await commentOn(inService)) ?? '')).toMatchObject({ fingerprint: tenant.fingerprint })
    expect((await second.tenants.history('acme'))[0]).toMatchObject({ verb: 'accept', actor: 'anna', to: 'active' })
    expect(events).toMatchObject([{ verb: 'accept', tenant: 'acme', from: 'active', to: 'active' }])
    expect(await second.tenants.accept('acme')).toMatchObject({ outcome: 'already-accepted' })
    // The stamp is as the catalog has it: nothing is left to reconcile.
    expect((await second.servers.reconcile()).findings).toEqual([])
    expect(await second.tenants.offboard('acme')).toMatchObject({ outcome: 'offboarded' })
  })

  it('refuses one that differs, and changes nothing', async () => {
    const { second } = await twoVersions()
    const before = await second.tenants.get('acme')
    const error = await errorOf(second.tenants.accept('acme'))
    expect(error).toMatchObject({ code: 'verification-failed', tenant: 'acme' })
    expect(String(error)).toContain('table note differs')
    expect(await second.tenants.get('acme')).toEqual(before)
  })

  it('works on a suspended tenant, which stays suspended', async () => {
    const { second } = await twoVersions()
    await second.tenants.suspend('acme')
    await alter(second, change)
    expect(await second.tenants.accept('acme')).toMatchObject({ outcome: 'accepted', tenant: { state: 'suspended' } })
    expect(await second.tenants.resume('acme')).toMatchObject({ outcome: 'resumed' })
  })

  it.each(['offboard', 'purge'] as const)('refuses a tenant after %s', async (verb) => {
    const { second } = await twoVersions()
    await second.tenants.offboard('acme')
    if (verb === 'purge') await second.tenants.purge('acme')
    const code = verb === 'purge' ? 'tenant-unknown' : 'tenant-state'
    expect(await errorOf(second.tenants.accept('acme'))).toMatchObject({ code })
  })

  it('refuses a database without its stamp', async () => {
    const { second } = await twoVersions()
    const { inService } = await namesOf(second, 'acme')
    await sql(`comment on database ${quote(inService)} is null`)
    expect(await errorOf(second.tenants.accept('acme'))).toMatchObject({ code: 'foreign-database' })
  })
})

describe('a table that was made by hand', () => {
  it('belongs to the objects role afterwards, and the tenant can use it', async () => {
    const provisioner = await createProvisioner()
    const tenantry = await openAs(provisioner)
    await tenantry.onboard('acme')
    const { inService } = await namesOf(tenantry, 'acme')
    const login = serverUrl({ ...provisioner, database: inService })
    await sqlAt(login, 'create table by_hand (id int primary key); insert into by_hand values (1)')
    expect(await tenantry.tenants.check('acme')).toMatchObject({ outcome: 'differs' })
    const { outcome, repaired } = await tenantry.tenants.accept('acme')
    const names = repaired.map(({ kind, name }) => `${kind} ${name}`)
    expect({ outcome, names }).toEqual({ outcome: 'already-accepted', names: ['table by_hand'] })
    expect(await tenantry.tenants.check('acme')).toMatchObject({ outcome: 'matches', privileges: [] })
    const read = (em: EntityManager) => em.execute('select * from by_hand')
    expect(await tenantry.with('acme', read)).toEqual([{ id: 1 }])
  })

  it('by a role that this one may not act as is named, with the statements', async () => {
    const tenantry = await openAs(await createProvisioner())
    await tenantry.onboard('acme')
    await alter(tenantry, 'create table by_hand (id int primary key)')
    const error = await errorOf(tenantry.tenants.accept('acme'))
    expect(error).toMatchObject({ code: 'permission-denied', tenant: 'acme' })
    expect(error).toMatchObject({ hint: expect.stringContaining('alter table public.by_hand owner to') })
  })
})
