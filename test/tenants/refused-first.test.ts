import { openTenantry, type TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { afterwards, errorOf, serverUrl } from '../support/server.ts'
import { foreignSession } from '../support/sessions.ts'
import { openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })
const main = postgres({ url: serverUrl() })

it('a process without the server of a tenant changes nothing of it', async () => {
  const servers = [main, postgres({ name: 'second', url: serverUrl() })]
  const all = await openTestTenantry(models, { servers })
  await all.onboard('far', { server: 'second' })
  const one = await openTenantry({ models, servers: [main], installation: all.installation })
  afterwards(() => one.close())
  const changes = [
    () => one.tenants.suspend('far'),
    () => one.tenants.offboard('far'),
    () => one.tenants.clone('far', 'copy'),
  ]
  for (const change of changes) {
    expect(await errorOf(change())).toMatchObject({ code: 'server-unknown' })
  }
  expect((await one.tenants.list()).map(({ id, state }) => [id, state])).toEqual([['far', 'active']])
})

it('a session in the database that is being made delays its tenant, and is ended', async () => {
  let ended: Promise<void> | undefined
  const tenantry = await openTestTenantry(models, {
    hooks: {
      initialise: async (em) => {
        const [row] = await em.execute<{ name: string }[]>('select current_database() as name')
        ended = (await foreignSession(row?.name ?? '')).ended
      },
    },
  })
  expect(await tenantry.onboard('watched')).toMatchObject({ outcome: 'onboarded' })
  await ended
})

describe('a configuration is refused, with the key in the message,', () => {
  it.each<[string, object]>([
    ['The configuration', []],
    ['servers must', { servers: main }],
    ['servers.0 must', { servers: [null] }],
    ['catalog.server', { catalog: { server: {} } }],
    ['Did you mean templates.spares?', { spares: 1 }],
    ['Did you mean waitMs?', { pool: { waitMS: 1 } }],
    ['models', { models: {} }],
    ['tenants.retentionDays', { tenants: { retentionDays: 999_999_999 } }],
    ['pool.waitMs', { pool: { waitMs: 2 ** 31 } }],
    ['limits.drainMs', { limits: { drainMs: -1 } }],
    ['mode', { mode: 'routing' }],
    ['hooks.initialise', { hooks: { initialise: 'yes' } }],
    ['session', { session: { lockTimeout: 1 } }],
  ])('for %s', async (key, wrong) => {
    const config = Array.isArray(wrong) ? undefined : { models, servers: [main], ...wrong }
    const error = (await errorOf(openTenantry(config as never))) as TenantryError
    expect(error.code).toBe('invalid-option')
    expect(`${error.message} ${error.hint}`).toContain(key)
  })
})
