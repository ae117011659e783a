import { openTenantry, type TenantryConfig } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { createRole, disposableName, dropAfterwards, errorOf, quote, serverUrl, sql } from '../support/server.ts'

const models = mikroOrm({ entities: [User, Address] })

interface Role {
  readonly user: string
  readonly password: string
}

async function roleWith(attributes: string): Promise<Role> {
  const role = await createRole(attributes)
  dropAfterwards(role.user)
  return role
}

async function open(installation: string, config: Partial<TenantryConfig<unknown>> = {}, role?: Role) {
  const tenantry = await openTenantry({
    servers: [postgres({ url: serverUrl(role) })],
    ...config,
    models,
    installation,
  })
  onTestFinished(() => tenantry.close())
  return tenantry
}

/** Returns the databases and roles with names of an installation. */
async function leftOf(installation: string): Promise<readonly string[]> {
  const rows = await sql<{ name: string }>(
    `select datname as name from pg_database where starts_with(datname, $1)
     union all select rolname from pg_roles where starts_with(rolname, $1)`,
    [`${installation}_`],
  )
  return rows.map(({ name }) => name)
}

describe('a process that does not create the catalog', () => {
  it('fails where there is none and leaves nothing behind', async () => {
    const installation = disposableName('i')
    const error = await errorOf(open(installation, { catalog: { create: false } }))
    expect(error).toMatchObject({ code: 'catalog-missing', retryable: false })
    expect(error).toMatchObject({ hint: expect.stringContaining('tenantry init --catalog') })
    expect(await leftOf(installation)).toEqual([])
  })

  it('fails in a database without one, and makes none in it', async () => {
    const installation = disposableName('i')
    const catalog = `${installation}_catalog`
    await sql(`create database ${quote(catalog)}`)
    expect(await errorOf(open(installation, { catalog: { create: false } }))).toMatchObject({ code: 'catalog-missing' })
    expect(await sql(`select 1 from pg_namespace where nspname = 'tenantry'`, [], catalog)).toEqual([])
  })

  it('changes one that is there, and brings it up to date', async () => {
    const installation = disposableName('i')
    await (await open(installation)).close()
    const catalog = `${installation}_catalog`
    await sql('alter table tenantry.installation drop column key_check, drop column lock_secret', [], catalog)
    await sql('alter table tenantry.tenant drop column transition', [], catalog)
    await sql('alter table tenantry.installation drop column desired', [], catalog)
    await sql('alter table tenantry.version drop column rank', [], catalog)
    await sql('drop function tenantry.claim_targets, tenantry.report_target', [], catalog)
    await sql('drop table tenantry.structure, tenantry.rollout_target, tenantry.rollout', [], catalog)
    await sql('delete from tenantry.migration where number >= 6', [], catalog)
    expect(await (await open(installation, { catalog: { create: false } })).onboard('a')).toMatchObject({
      outcome: 'onboarded',
    })
  })

  it.each([
    { catalog: { create: 'no' } },
    { credentials: { keyLost: 1 } },
    { baseDir: '' },
    { baseDir: 7 },
    { baseDir: null },
  ])('is configured with the right types: not %j', async (config) => {
    const installation = disposableName('i')
    expect(await errorOf(open(installation, config as never))).toMatchObject({ code: 'invalid-option' })
  })
})

describe('a catalog that could not be finished', () => {
  it.each(['createdb', 'createrole'])('is not there afterwards, for a role with %s alone', async (attributes) => {
    // Made before the installation, and so dropped after it.
    const [weak, strong] = [await roleWith(attributes), await roleWith('createdb createrole')]
    const installation = disposableName('i')
    expect(await errorOf(open(installation, {}, weak))).toMatchObject({ code: 'permission-denied' })
    expect(await leftOf(installation)).toEqual([])
    const better = await open(installation, {}, strong)
    expect(await better.onboard('a')).toMatchObject({ outcome: 'onboarded' })
  })

  it('stays where another process has finished it meanwhile', async () => {
    const weak = await roleWith('createdb')
    for (let round = 0; round < 5; round++) {
      const installation = disposableName('i')
      const [better, ...others] = await Promise.allSettled([
        open(installation),
        ...Array.from({ length: 3 }, () => open(installation, {}, weak)),
      ])
      expect(others.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
      // It may have met the other's, on its way out.
      const opened = better?.status === 'fulfilled' ? better.value : await open(installation)
      expect(await opened.onboard('a')).toMatchObject({ outcome: 'onboarded' })
      expect(await (await open(installation)).tenants.get('a')).toMatchObject({ state: 'active' })
    }
  })
})
