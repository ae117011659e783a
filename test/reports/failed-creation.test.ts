import { type TenantHook, TenantryError } from 'tenantry'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, it } from 'vitest'
import { User } from '../../examples/service/models.ts'
import { asTenant, attempt, createProvisioner, type Isolated, openAs } from '../isolation/support.ts'
import { errorOf, serverUrl, sql, sqlAt } from '../support/server.ts'
import { foreignSession } from '../support/sessions.ts'
import { inCatalog, namesOf } from '../support/tenants.ts'

// The creation of a tenant fails half-way: the tests show the meaning of its id afterwards, and the clean-up.

interface Failing {
  readonly tenantry: Isolated
  /** Sets the service's hook; without one it succeeds. */
  readonly fail: (hook: TenantHook<EntityManager> | undefined) => void
  readonly provisioner: { readonly user: string; readonly password: string }
}

/** Opens a Tenantry whose hook for new tenants fails, as a provisioner that is no superuser. */
async function openFailing(): Promise<Failing> {
  let current: TenantHook<EntityManager> | undefined = () => {
    throw new Error('The step of the service failed.')
  }
  const initialise: TenantHook<EntityManager> = (em, tenant) => current?.(em, tenant)
  const provisioner = await createProvisioner()
  const tenantry = await openAs(provisioner, { hooks: { initialise }, limits: { drainMs: 0 } })
  return { tenantry, provisioner, fail: (hook) => (current = hook) }
}

const databaseNow = async (tenantry: Isolated, id: string): Promise<string> => {
  const { inService, building, archived, pendingDrop } = await namesOf(tenantry, id)
  const [found] = await sql<{ datname: string }>('select datname from pg_database where datname = any($1)', [
    [inService, building, archived, pendingDrop],
  ])
  return found?.datname ?? ''
}

const oidOf = async (database: string): Promise<number | undefined> => {
  const [row] = await sql<{ oid: number }>('select oid from pg_database where datname = $1', [database])
  return row?.oid
}

/**
 * Fails to create `acme`, with rows in its database, and then to remove it, since a session of another program is in
 * there.
 */
async function failTwice({ tenantry, fail }: Failing) {
  fail(async (em) => {
    em.create(User, { name: 'of the first acme', fullname: null })
    await em.flush()
    throw new Error('The step of the service failed.')
  })
  expect(await errorOf(tenantry.onboard('acme'))).toMatchObject({ code: 'hook-failed', tenant: 'acme' })
  const database = await databaseNow(tenantry, 'acme')
  const oid = await oidOf(database)
  const stranger = await foreignSession(database)
  const refused = await errorOf(tenantry.tenants.purge('acme'))
  expect(refused).toBeInstanceOf(TenantryError)
  fail(undefined)
  return { stranger, oid, refused: refused as TenantryError }
}

// joinorbiters/orbiters#164: DROP DATABASE failed, the row was removed, and the next sign-up inherited the database.
it('a tenant that could be neither created nor removed keeps its id, and the next one of that id inherits nothing', async () => {
  const failing = await openFailing()
  const { tenantry } = failing
  const { stranger, oid } = await failTwice(failing)

  // The next one to sign up does not get the remains: the database could not be made again.
  for (const call of [() => tenantry.onboard('acme'), () => tenantry.with('acme', (em) => em.count(User))]) {
    expect(await errorOf(call())).toMatchObject({ name: 'TenantryError', tenant: 'acme' })
  }
  expect(await tenantry.tenants.get('acme')).toMatchObject({ state: 'onboarding' })
  expect(await oidOf(await databaseNow(tenantry, 'acme'))).toBe(oid)

  await stranger.client.end()
  expect(await tenantry.tenants.purge('acme')).toMatchObject({ outcome: 'purged' })
  expect(await sql('select datname from pg_database where oid = $1', [oid])).toEqual([])
  expect(await tenantry.onboard('acme')).toMatchObject({ outcome: 'onboarded' })
  expect(await oidOf(await databaseNow(tenantry, 'acme'))).not.toBe(oid)
  expect(await tenantry.with('acme', (em) => em.count(User))).toBe(0)
})

// metabase/metabase#77875: provisioning failed, so did its clean-up, and no message named the remains.
it('remains of a failed clean-up stay recorded, and a look reports them', async () => {
  const failing = await openFailing()
  const { tenantry } = failing
  const { stranger, refused } = await failTwice(failing)

  expect(refused).toMatchObject({ tenant: 'acme' })
  expect(refused.hint).toMatch(/\S/)
  expect(await tenantry.tenants.list({ state: ['onboarding', 'purging'] })).toMatchObject([{ id: 'acme' }])
  const { findings } = await tenantry.servers.reconcile({ dryRun: true })
  expect(findings).toEqual([expect.objectContaining({ tenant: 'acme', outcome: 'planned' })])
  expect(await tenantry.tenants.history('acme')).toEqual([
    expect.objectContaining({ verb: 'onboard', outcome: 'failed', error: 'hook-failed' }),
    expect.objectContaining({ verb: 'onboard', outcome: 'done', to: 'onboarding' }),
  ])

  await stranger.client.end()
  await tenantry.servers.reconcile()
  expect(await tenantry.tenants.get('acme')).toBeUndefined()
})

// elizaOS/eliza#9664: a retry found a role and a database of the attempt before, and ended without a usable password.
it.each(['', "login password 'of the attempt before'", "nologin password 'of the attempt before'"])(
  'the same call again ends well where a database and a role (%s) are half made, and its password works',
  async (attributes) => {
    const { tenantry, provisioner, fail } = await openFailing()
    expect(await errorOf(tenantry.onboard('acme'))).toMatchObject({ code: 'hook-failed' })
    const { rowId } = await namesOf(tenantry, 'acme')
    const role = `${tenantry.installation}_r_${rowId.replaceAll('-', '')}`
    if (attributes !== '')
      await sqlAt(serverUrl({ database: 'postgres', ...provisioner }), `create role ${role} ${attributes}`)
    fail(undefined)
    expect(await tenantry.onboard('acme')).toMatchObject({ outcome: 'onboarded' })
    expect(await tenantry.tenants.credentials('acme')).toMatchObject({ user: role })
    expect(await attempt(asTenant(tenantry, 'acme', (client) => client.query('select 1')))).toBe('done')
    expect(await tenantry.with('acme', (em) => em.count(User))).toBe(0)
  },
)

// PostHog/posthog#56057: the client gave up waiting and repeated its request.
it('a call of a lost client that is repeated twice at once makes one tenant, with the same answer', async () => {
  const { tenantry, fail } = await openFailing()
  const client = new AbortController()
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  fail(async () => {
    begun.resolve()
    await goOn.promise
  })
  const first = errorOf(tenantry.onboard('acme', { signal: client.signal }))
  await begun.promise
  client.abort()
  goOn.resolve()
  expect(await first).toMatchObject({ code: 'aborted' })
  fail(undefined)
  const answers = await Promise.all([tenantry.onboard('acme'), tenantry.onboard('acme')])
  expect(answers[0]?.tenant).toEqual(answers[1]?.tenant)
  expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual(['already-exists', 'onboarded'])
  expect(await inCatalog(tenantry, 'select id from tenantry.tenant')).toEqual([{ id: 'acme' }])
  expect(
    await sql('select 1 from pg_database where datname like $1', [
      `${tenantry.installation}!_t!_%`.replaceAll('!', '\\'),
    ]),
  ).toHaveLength(1)
})

// django-tenants/django-tenants#1209: one tenant that was never finished ended the run over the whole fleet.
it('an unfinished tenant ends no run over the fleet, and is reported', async () => {
  const { tenantry, fail } = await openFailing()
  expect(await errorOf(tenantry.onboard('half'))).toMatchObject({ code: 'hook-failed' })
  fail(undefined)
  for (const id of ['acme', 'zeta']) await tenantry.onboard(id)
  const found = await tenantry.forEach((em) => em.count(User))
  expect(found).toMatchObject({ ended: 'complete', total: 2, done: 2, failed: 0, skipped: 0 })
  expect(await tenantry.status()).toMatchObject({ tenants: { onboarding: 1, active: 2 } })
  expect(await tenantry.servers.reconcile({ dryRun: true })).toMatchObject({ findings: [{ tenant: 'half' }] })
})
