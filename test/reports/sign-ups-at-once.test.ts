import type { EntityManager } from '@mikro-orm/postgresql'
import { openTenantry, type TenantHook } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { expect, it } from 'vitest'
import { models } from '../isolation/support.ts'
import { disposableName, quote, serverUrl, sql } from '../support/server.ts'
import { expectSessions, foreignSession } from '../support/sessions.ts'
import { openTestTenantry } from '../support/tenants.ts'

// Tenants are made while others are made, worked on and administered.

// RedHatInsights/insights-rbac#454 and #518: a lock over all sign-ups, taken back since it let each wait for the others.
it('a sign-up that takes its time keeps no other waiting, and none fails', async () => {
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const initialise: TenantHook<EntityManager> = async (_, { id }) => {
    if (id !== 'slow') return
    begun.resolve()
    await goOn.promise
  }
  const tenantry = await openTestTenantry(models, { hooks: { initialise } })
  const slow = tenantry.onboard('slow')
  await begun.promise
  const others = Array.from({ length: 6 }, (_, number) => `quick-${number}`)
  const answers = await Promise.all(others.map((id) => tenantry.onboard(id)))
  expect(answers.map(({ outcome }) => outcome)).toEqual(others.map(() => 'onboarded'))
  expect((await tenantry.tenants.get('slow'))?.state).toBe('onboarding')
  goOn.resolve()
  expect(await slow).toMatchObject({ outcome: 'onboarded' })
})

// vectorize-io/hindsight#493: CREATE INDEX CONCURRENTLY of a new tenant waited for an idle transaction of another.
it('indexes that are made concurrently for a new tenant wait for no transaction of another', async () => {
  const tenantry = await openTestTenantry(models, {
    templates: {
      seed: async (em) => {
        await em.execute('create index concurrently by_name on user_account (name)')
      },
      revision: 2,
    },
  })
  const { installation } = tenantry
  const before = await openTestTenantry(models, { installation })
  await before.onboard('acme')
  for (const database of [`${installation}_t_acme`, 'postgres']) {
    const { client } = await foreignSession(database)
    await client.query('begin isolation level repeatable read')
    await client.query('select count(*) from pg_class')
  }
  const { client } = await foreignSession(`${installation}_t_acme`)
  await client.query('begin')
  await client.query('lock table user_account in access exclusive mode')
  expect(await tenantry.onboard('beta')).toMatchObject({ outcome: 'onboarded', path: 'build' })
  const [index] = await sql<{ valid: boolean }>(
    `select indisvalid as valid from pg_index where indexrelid = 'by_name'::regclass`,
    [],
    `${installation}_t_beta`,
  )
  expect(index).toEqual({ valid: true })
})

// uktrade/data-workspace-frontend#624, terraform-provider-postgresql#223: of two that change the privileges of one
// database at once PostgreSQL fails one, "tuple concurrently updated".
it('processes open while another session changes the privileges of their catalog', async () => {
  const server = postgres({ url: serverUrl() })
  const installation = disposableName('i')
  await (await openTenantry({ models, servers: [server], installation })).close()
  const catalog = `${installation}_catalog`
  await sql(`grant connect on database ${quote(catalog)} to public`)
  const { client } = await foreignSession('postgres')
  await client.query('begin')
  await client.query(`grant temporary on database ${quote(catalog)} to public`)
  const opening = Promise.all(
    Array.from({ length: 4 }, () => openTenantry({ models, servers: [server], installation })),
  )
  await expectSessions(catalog, `wait_event_type = 'Lock'`, 4)
  await client.query('commit')
  const opened = await opening
  const [row] = await sql<{ isPublic: boolean }>(
    `select has_database_privilege('public', $1, 'connect') as "isPublic"`,
    [catalog],
  )
  expect(row).toEqual({ isPublic: false })
  await Promise.all(opened.map((tenantry) => tenantry.close()))
})

it.each([
  ['suspend', 'suspended'],
  ['rotateCredentials', 'active'],
] as const)('%s continues while another session changes the role of the tenant', async (verb, to) => {
  const tenantry = await openTestTenantry(models)
  await tenantry.onboard('acme')
  const { user } = await tenantry.tenants.credentials('acme')
  const { client } = await foreignSession('postgres')
  await client.query('begin')
  await client.query(`alter role ${quote(user)} connection limit 5`)
  const changing = tenantry.tenants[verb]('acme')
  await expectSessions(`${tenantry.installation}_catalog`, `wait_event_type = 'Lock'`)
  await client.query('commit')
  await changing
  expect((await tenantry.tenants.get('acme'))?.state).toBe(to)
})
