import type { EntityManager } from '@mikro-orm/postgresql'
import { ensureDatabase, ensureTables, type TenantryConfig } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeEach, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { disposableName, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { foreignSession, sessionsIn } from '../support/sessions.ts'
import { commentOn, databasesOf, inCatalog, openTestTenantry, snapshot, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

const namesIn = async (em: EntityManager) => (await em.find(User, {}, { orderBy: { id: 1 } })).map(({ name }) => name)
const addUser = async (em: EntityManager, name: string) => {
  em.create(User, { name, fullname: null })
  await em.flush()
}

/** Returns a Tenantry with the tenant `source`, which has one user. */
async function openWithSource(config: Partial<TenantryConfig<EntityManager>> = {}) {
  const { models: _, server: __, ...overrides } = { models, server: undefined, ...config }
  const tenantry = await openTestTenantry(models, overrides)
  await tenantry.onboard('source')
  await tenantry.with('source', (em) => addUser(em, 'sandy'))
  return tenantry
}

describe('clone', () => {
  it('copies all data, and later changes are apart', async () => {
    const tenantry = await openWithSource()
    const cloned = await tenantry.tenants.clone('source', 'copy', { displayName: 'Copy', metadata: { plan: 'trial' } })
    expect(cloned).toMatchObject({
      outcome: 'cloned',
      tenant: { id: 'copy', state: 'active', displayName: 'Copy', metadata: { plan: 'trial' }, server: 'main' },
    })
    await tenantry.with('copy', (em) => addUser(em, 'pearl'))
    expect(await tenantry.with('copy', namesIn)).toEqual(['sandy', 'pearl'])
    expect(await tenantry.with('source', namesIn)).toEqual(['sandy'])
    expect(await tenantry.tenants.check('copy')).toMatchObject({ outcome: 'matches' })
    expect(cloned.tenant.fingerprint).toBe((await tenantry.tenants.get('source'))?.fingerprint)
  })

  it('runs anonymise and then initialise on the copy, in its context, before it is active', async () => {
    const steps: unknown[] = []
    const step = (name: string) => async (em: EntityManager, tenant: { id: string; state: string }) => {
      steps.push([name, tenant.id, tenant.state, tenantry.currentTenant(), await namesIn(em)])
      await addUser(em, name)
    }
    const tenantry: TestTenantry<EntityManager> = await openWithSource({
      hooks: { initialise: (em, tenant) => (tenant.id === 'source' ? undefined : step('initialise')(em, tenant)) },
    })
    await tenantry.tenants.clone('source', 'copy', { anonymise: step('anonymise') })
    expect(steps).toEqual([
      ['anonymise', 'copy', 'onboarding', 'copy', ['sandy']],
      ['initialise', 'copy', 'onboarding', 'copy', ['sandy', 'anonymise']],
    ])
    expect(await tenantry.with('copy', namesIn)).toEqual(['sandy', 'anonymise', 'initialise'])
    expect(await tenantry.with('source', namesIn)).toEqual(['sandy'])
  })

  it('that could not anonymise is not active, and works on a new copy when it is repeated', async () => {
    const tenantry = await openWithSource()
    const cause = new Error('no')
    const failing = tenantry.tenants.clone('source', 'copy', {
      anonymise: async (em) => {
        await addUser(em, 'left by the first')
        throw cause
      },
    })
    expect(await errorOf(failing)).toMatchObject({ code: 'hook-failed', retryable: true, cause, tenant: 'copy' })
    expect(await errorOf(tenantry.with('copy', () => 1))).toMatchObject({ code: 'tenant-not-active', retryable: true })
    await tenantry.with('source', (em) => addUser(em, 'pearl'))
    expect(await tenantry.tenants.clone('source', 'copy')).toMatchObject({ outcome: 'cloned' })
    expect(await tenantry.with('copy', namesIn)).toEqual(['sandy', 'pearl'])
    expect(await databasesOf(tenantry)).toHaveLength(2)
  })

  it('of a source with work under way gives up at the deadline and ends no session', async () => {
    const tenantry = await openWithSource()
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const work = tenantry.with('source', (em) =>
      em.transactional(async (tx) => {
        await addUser(tx, 'pearl')
        begun.resolve()
        await gate.promise
        return namesIn(tx)
      }),
    )
    await begun.promise
    const error = await errorOf(tenantry.tenants.clone('source', 'copy', { drainMs: 0 }))
    expect(error).toMatchObject({ code: 'template-in-use', tenant: 'copy', retryable: true })
    gate.resolve()
    expect(await work).toEqual(['sandy', 'pearl'])
    expect(await tenantry.with('source', namesIn)).toEqual(['sandy', 'pearl'])
    expect(await tenantry.tenants.clone('source', 'copy')).toMatchObject({ outcome: 'cloned' })
  })

  it('of a source to which other processes have idle connections works, and they go on', async () => {
    const tenantry = await openWithSource()
    const other = await openTestTenantry(models, { installation: tenantry.installation })
    const kept = await other.with('source', (em) => em.fork())
    expect(await namesIn(kept)).toEqual(['sandy'])
    expect(await sessionsIn(`${tenantry.installation}_t_source`)).not.toEqual([])
    expect(await tenantry.tenants.clone('source', 'copy')).toMatchObject({ outcome: 'cloned' })
    expect(await namesIn(kept.fork())).toEqual(['sandy'])
    expect(await other.with('copy', namesIn)).toEqual(['sandy'])
  })

  it('of the same source again is an outcome, or an error if configured', async () => {
    const tenantry = await openWithSource()
    await tenantry.tenants.clone('source', 'copy')
    const before = await snapshot(tenantry)
    expect(await tenantry.tenants.clone('source', 'copy')).toMatchObject({ outcome: 'already-exists' })
    const refusing = tenantry.tenants.clone('source', 'copy', { existing: 'refuse' })
    expect(await errorOf(refusing)).toMatchObject({ code: 'tenant-exists', tenant: 'copy' })
    await tenantry.tenants.suspend('copy')
    expect(await tenantry.tenants.clone('source', 'copy')).toMatchObject({ outcome: 'already-exists' })
    await tenantry.tenants.resume('copy')
    // By their stamps, one of them was suspended and resumed.
    const named = ({ databases }: Awaited<ReturnType<typeof snapshot>>) => databases.map(({ datname }) => datname)
    expect(named(await snapshot(tenantry))).toEqual(named(before))
  })

  it('to the id of a tenant that is no clone of the source is refused and changes nothing', async () => {
    const tenantry = await openWithSource()
    await tenantry.onboard('other')
    await tenantry.tenants.clone('other', 'copy-of-other')
    const before = await snapshot(tenantry)
    for (const id of ['other', 'copy-of-other', 'source']) {
      expect(await errorOf(tenantry.tenants.clone('source', id))).toMatchObject({ code: 'tenant-exists', tenant: id })
    }
    expect(await snapshot(tenantry)).toEqual(before)
  })
})

describe('adopt', () => {
  let tenantry: TestTenantry<EntityManager>
  let database: string
  const comment = (text: string) => sql(`comment on database ${quote(database)} is '${text.replaceAll("'", "''")}'`)
  const broken = new Set<string>()

  beforeEach(async () => {
    broken.clear()
    tenantry = await openTestTenantry(models, {
      hooks: {
        initialise: async (em, { id }) => {
          if (broken.has(id)) throw new Error('not yet')
          await addUser(em, `initialised ${id}`)
        },
      },
    })
    database = disposableName('own')
    const url = serverUrl({ database })
    await ensureDatabase(url)
    await ensureTables(url, models)
    await sql(`insert into user_account (name) values ('sandy')`, [], database)
  })

  it('takes a database over with its name, its data and its comment', async () => {
    await comment(`their "own" words`)
    const { outcome, tenant } = await tenantry.tenants.adopt('a', {
      database,
      displayName: 'A',
      metadata: { old: true },
    })
    expect(outcome).toBe('adopted')
    expect(tenant).toMatchObject({ id: 'a', database, state: 'active', displayName: 'A', metadata: { old: true } })
    expect(await tenantry.with('a', namesIn)).toEqual(['sandy', 'initialised a'])
    expect(JSON.parse((await commentOn(database)) ?? '')).toMatchObject({
      kind: 'tenant',
      comment: `their "own" words`,
    })
    const before = await snapshot(tenantry)
    expect(await tenantry.tenants.adopt('a', { database })).toMatchObject({ outcome: 'already-adopted' })
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('lets the tenant live and end as any other', async () => {
    await tenantry.tenants.adopt('a', { database })
    await tenantry.tenants.suspend('a')
    await tenantry.tenants.offboard('a')
    expect(await sql('select 1 from pg_database where datname = $1', [database])).toEqual([])
    await tenantry.tenants.restore('a')
    await tenantry.tenants.resume('a')
    expect(await tenantry.with('a', namesIn)).toContain('sandy')
    await tenantry.tenants.offboard('a')
    await tenantry.tenants.purge('a')
    expect(await sql('select 1 from pg_database where datname = $1', [database])).toEqual([])
    expect(await databasesOf(tenantry)).toEqual([])
  })

  it.each([
    ['lacks a table', 'drop table address', 'table address is missing'],
    ['has another type', 'alter table user_account alter name type int using 1', 'user_account'],
  ])('refuses a database that %s, names the reason, and leaves no trace', async (_, change, named) => {
    await sql(change, [], database)
    // The template of the version, which the database is compared with.
    await tenantry.onboard('ours')
    const before = await snapshot(tenantry)
    const error = await errorOf(tenantry.tenants.adopt('a', { database }))
    expect(error).toMatchObject({ code: 'verification-failed', tenant: 'a', message: expect.stringContaining(named) })
    expect(await snapshot(tenantry)).toEqual(before)
    expect(await commentOn(database)).toBeUndefined()
  })

  it('refuses a database that is none for a tenant, and leaves no trace', async () => {
    const other = await openTestTenantry(models)
    const foreign = (await other.onboard('theirs')).tenant.database
    const own = (await tenantry.onboard('ours')).tenant.database
    const before = await snapshot(tenantry)
    const refusals = [
      [foreign, 'foreign-database'],
      [own, 'tenant-exists'],
      ['postgres', 'invalid-option'],
      ['template1', 'invalid-option'],
      [`${tenantry.installation}_catalog`, 'invalid-option'],
      [`${tenantry.installation}_none`, 'database-missing'],
      ['', 'invalid-name'],
    ] as const
    for (const [name, code] of refusals) {
      expect(await errorOf(tenantry.tenants.adopt('a', { database: name }))).toMatchObject({
        name: 'TenantryError',
        code,
      })
    }
    expect(await errorOf(tenantry.tenants.adopt('ours', { database }))).toMatchObject({
      code: 'tenant-exists',
      tenant: 'ours',
    })
    const nowhere = tenantry.tenants.adopt('a', { database, server: 'nowhere' })
    expect(await errorOf(nowhere)).toMatchObject({ code: 'server-unknown' })
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('that was interrupted is finished by reconcile only if the database matches its version', async () => {
    await tenantry.tenants.adopt('a', { database })
    await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', activated_at = null`)
    await sql('alter table user_account drop column fullname', [], database)
    const [failed] = (await tenantry.servers.reconcile()).findings
    expect(failed).toMatchObject({ kind: 'unfinished', outcome: 'failed', error: { code: 'verification-failed' } })
    expect(failed?.error?.message).toContain('table user_account differs')
    expect(await tenantry.tenants.get('a')).toMatchObject({ state: 'onboarding' })
    await sql('alter table user_account add column fullname varchar(255)', [], database)
    expect((await tenantry.servers.reconcile()).findings).toMatchObject([{ kind: 'unfinished', outcome: 'done' }])
    expect(await tenantry.with('a', namesIn)).toEqual(['sandy', 'initialised a'])
  })

  it('refuses a database that is being adopted under another id', async () => {
    broken.add('a')
    expect(await errorOf(tenantry.tenants.adopt('a', { database }))).toMatchObject({ code: 'hook-failed', tenant: 'a' })
    expect(await errorOf(tenantry.tenants.adopt('b', { database }))).toMatchObject({
      code: 'tenant-exists',
      tenant: 'b',
    })
    expect(await tenantry.tenants.get('b')).toBeUndefined()
    broken.clear()
    expect(await tenantry.tenants.adopt('a', { database })).toMatchObject({ outcome: 'adopted' })
  })

  it('keeps the name that an id would get from a tenant of that id', async () => {
    const name = `${tenantry.installation}_t_b`
    await sql(`create database ${quote(name)} template ${quote(database)}`)
    await tenantry.tenants.adopt('a', { database: name })
    expect(await errorOf(tenantry.onboard('b'))).toMatchObject({ code: 'tenant-exists', tenant: 'b' })
    expect(await tenantry.tenants.get('b')).toBeUndefined()
  })

  it.each([undefined, 'theirs'])(
    'purged before it was finished, leaves the database with the comment %j',
    async (text) => {
      if (text !== undefined) await comment(text)
      broken.add('a')
      await errorOf(tenantry.tenants.adopt('a', { database }))
      expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
      expect(await commentOn(database)).toBe(text)
      // Also where it was stamped already, and where a purge was interrupted.
      for (const state of ['onboarding', 'purging']) {
        broken.clear()
        await tenantry.tenants.adopt('a', { database })
        // In a process of its own, which receives no notices of changes by hand.
        const looking = await openTestTenantry(models, { installation: tenantry.installation })
        await looking.with('a', namesIn)
        await looking.close()
        await inCatalog(tenantry, `update tenantry.tenant set state = $1, fingerprint = null, activated_at = null`, [
          state,
        ])
        expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
        expect(await commentOn(database)).toBe(text)
        await tenantry.tenants.adopt('a', { database })
        await inCatalog(
          tenantry,
          `update tenantry.tenant set state = 'purging', fingerprint = null, activated_at = null`,
        )
        await sql(`comment on database ${quote(database)} is null`)
        expect(await tenantry.tenants.purge('a')).toEqual({ outcome: 'purged' })
        if (text !== undefined) await comment(text)
      }
      expect(await sql('select name from user_account where name = $1', ['sandy'], database)).toHaveLength(1)
    },
  )

  it('in another process reaches no process without a look, and every process with one', async () => {
    const other = await openTestTenantry(models, { installation: tenantry.installation })
    expect(await errorOf(other.with('a', namesIn))).toMatchObject({ code: 'tenant-unknown' })
    const session = await foreignSession(database)
    expect(await tenantry.tenants.adopt('a', { database })).toMatchObject({ outcome: 'adopted' })
    expect((await session.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(await other.with('a', namesIn)).toEqual(['sandy', 'initialised a'])
  })
})
