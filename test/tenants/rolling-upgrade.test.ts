import { openTenantry, type TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf, serverUrl } from '../support/server.ts'
import { inCatalog, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/** The number of the newest migration that this Tenantry knows. */
const ours = async (tenantry: TestTenantry<unknown>) => (await tenantry.status()).catalog.migration

/** Changes the catalog as a newer Tenantry would that is compatible with processes from `compatibleFrom` on. */
async function upgrade(tenantry: TestTenantry<unknown>, compatibleFrom: number): Promise<void> {
  const statements = [
    `alter table tenantry.tenant add column region text not null default 'eu', add column note jsonb`,
    `alter table tenantry.audit add column request text`,
    `create table tenantry.region (number int primary key, tenant uuid references tenantry.tenant on delete cascade)`,
  ]
  for (const statement of statements) await inCatalog(tenantry, statement)
  const number = (await ours(tenantry)) + 1
  await inCatalog(tenantry, 'insert into tenantry.migration (number, compatible_from) values ($1, $2)', [
    number,
    compatibleFrom,
  ])
}

describe('a catalog that a newer Tenantry has changed', () => {
  it('within compatibility is accepted, by processes that run and by new ones', async () => {
    const running = await openTestTenantry(models)
    await running.onboard('before')
    await upgrade(running, await ours(running))
    const { installation } = running
    const started = await openTestTenantry(models, { installation })
    const router = await openTestTenantry(models, { installation, mode: 'router' })
    for (const [index, tenantry] of [running, started].entries()) {
      const id = `after-${index}`
      expect(await tenantry.onboard(id)).toMatchObject({ outcome: 'onboarded' })
      expect(await tenantry.with(id, (em) => em.count(User))).toBe(0)
      expect(await tenantry.tenants.clone(id, `${id}-copy`)).toMatchObject({ outcome: 'cloned' })
      await tenantry.tenants.update(id, { displayName: 'After' })
      await tenantry.tenants.suspend(id)
      await tenantry.tenants.offboard(id)
      await tenantry.tenants.restore(id)
      await tenantry.tenants.offboard(id)
      expect(await tenantry.tenants.purge(id)).toEqual({ outcome: 'purged' })
      expect((await tenantry.tenants.history(id)).length).toBe(9)
    }
    expect(await router.with('before', (em) => em.count(User))).toBe(0)
    const listed = await router.tenants.list()
    expect(listed.map(({ id }) => id)).toEqual(['after-0-copy', 'after-1-copy', 'before'])
    // The newer version's own facts do not matter here.
    for (const tenant of listed) expect(Object.keys(tenant)).not.toContain('region')
  })

  it.each(['full', 'router'] as const)(
    'beyond that is refused to a %s process, with the hint to upgrade',
    async (mode) => {
      const tenantry = await openTestTenantry(models)
      const newer = (await ours(tenantry)) + 1
      await upgrade(tenantry, newer)
      const { installation } = tenantry
      const opening = openTenantry({ models, servers: [postgres({ url: serverUrl() })], installation, mode })
      const error = (await errorOf(opening)) as TenantryError
      expect(error).toMatchObject({ code: 'catalog-newer', retryable: false })
      expect(error.message).toContain(String(newer))
      expect(error.hint).toMatch(/upgrade the tenantry package/)
      const migrations = await inCatalog(tenantry, 'select number from tenantry.migration order by number desc limit 1')
      expect(migrations).toEqual([{ number: newer }])
    },
  )
})
