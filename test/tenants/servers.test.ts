import { inspect } from 'node:util'
import { openTenantry, type TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startServer } from '../support/start-server.ts'
import { createRole, disposableName, dropAfterwards, errorOf, serverUrl, sql, sqlAt } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('two servers', () => {
  let second: Awaited<ReturnType<typeof startServer>>

  beforeAll(async () => {
    second = await startServer()
  })
  afterAll(() => second.stop())

  const servers = () => [postgres({ name: 'one', url: serverUrl() }), postgres({ name: 'two', url: second.url })]

  it('take tenants in turn, the one with the fewest first', async () => {
    const tenantry = await openTestTenantry(models, { servers: servers() })
    const placed: string[] = []
    for (const id of ['a', 'b', 'c', 'd']) placed.push((await tenantry.onboard(id)).tenant.server)
    expect(placed).toEqual(['one', 'two', 'one', 'two'])
    for (const id of ['a', 'b']) {
      const found = await tenantry.with(id, async (em) => {
        em.create(User, { name: id, fullname: null })
        await em.flush()
        return em.find(User, {})
      })
      expect(found.map(({ name }) => name)).toEqual([id])
    }
  })

  it('take a tenant if they are chosen, and none if the server is closed', async () => {
    const tenantry = await openTestTenantry(models, { servers: servers() })
    expect((await tenantry.onboard('a', { server: 'two' })).tenant.server).toBe('two')
    const catalog = `${tenantry.installation}_catalog`
    await sql(`update tenantry.server set state = 'closed' where name = 'one'`, [], catalog)
    expect((await tenantry.onboard('b')).tenant.server).toBe('two')
    expect(await errorOf(tenantry.onboard('c', { server: 'one' }))).toMatchObject({ code: 'no-open-server' })
    expect(await tenantry.tenants.get('c')).toBeUndefined()
  })

  it('finish on the second a change that was interrupted between the name and the row', async () => {
    const tenantry = await openTestTenantry(models, { servers: servers() })
    await tenantry.onboard('half', { server: 'two' })
    // Just as a crash between the two leaves it: the database is named, the row does not know.
    const catalog = `${tenantry.installation}_catalog`
    await sql(`update tenantry.tenant set state = 'onboarding' where id = 'half'`, [], catalog)
    expect(await tenantry.onboard('half')).toMatchObject({ outcome: 'onboarded', tenant: { server: 'two' } })
  })

  it('divide as configured: the catalog on the second, and no tenant if that is not among the servers', async () => {
    const [one, two] = servers()
    for (const among of [true, false]) {
      const installation = disposableName('i')
      const tenantry = await openTestTenantry(models, {
        installation,
        servers: [one!, ...(among ? [two!] : [])],
        catalog: { server: two! },
        templates: { spares: 1 },
      })
      const placed = [await tenantry.onboard('a'), await tenantry.onboard('b')].map(({ tenant }) => tenant.server)
      expect(placed).toEqual(among ? ['one', 'two'] : ['one', 'one'])
      expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
      expect(await tenantry.tenants.clone('a', 'copy')).toMatchObject({ outcome: 'cloned', tenant: { server: 'one' } })
      await tenantry.tenants.suspend('a')
      const { catalog, servers: known } = await tenantry.status()
      expect([catalog.server, known.map(({ name }) => name)]).toEqual(['two', among ? ['one', 'two'] : ['one']])
      const isFilled = async () =>
        (await tenantry.status()).spares.every(({ ready, filling }) => ready === 1 && filling === 0)
      await expect.poll(isFilled, { timeout: 30_000 }).toBe(true)
      expect(await tenantry.servers.reconcile()).toMatchObject({ findings: [], unreachable: [] })
      await tenantry.close()
      const again = await openTenantry({ models, installation, servers: [one!], catalog: { server: two! } })
      expect(again.startUp).toMatchObject({ tenants: 3, missing: [], unreachable: [] })
      await again.close()
      const names = `select datname from pg_database where starts_with(datname, '${installation}_') order by 1`
      const onSecond = (await sqlAt<{ datname: string }>(second.url, names)).map(({ datname }) => datname)
      expect(onSecond.includes(`${installation}_catalog`)).toBe(true)
      expect(onSecond.length > 1).toBe(among)
    }
  })

  it('are both needed by a process that works for tenants on both', async () => {
    const tenantry = await openTestTenantry(models, { servers: servers() })
    await tenantry.onboard('far', { server: 'two' })
    const { installation } = tenantry
    const near = await openTenantry({ models, servers: [postgres({ name: 'one', url: serverUrl() })], installation })
    expect(await errorOf(near.with('far', () => 1))).toMatchObject({ code: 'server-unknown', tenant: 'far' })
    await near.close()
  })
})

describe('opening', () => {
  it('with a wrong password reports it, without the password', async () => {
    const { user } = await createRole()
    dropAfterwards(user)
    const server = postgres({ url: serverUrl({ user, password: 'wr0ng-and-secret' }) })
    const error = await errorOf(openTenantry({ models, servers: [server], installation: disposableName('i') }))
    expect(error).toMatchObject({ code: 'authentication-failed' })
    expect(inspect(error, { depth: 10 })).not.toContain('wr0ng-and-secret')
  })

  it('as a role without CREATEDB and CREATEROLE prints the grants, and works with them', async () => {
    const { user, password } = await createRole()
    dropAfterwards(user)
    const installation = disposableName('i')
    const server = postgres({ url: serverUrl({ user, password }) })
    for (const attribute of ['CREATEDB', 'CREATEROLE']) {
      const error = (await errorOf(openTenantry({ models, servers: [server], installation }))) as TenantryError
      expect(error).toMatchObject({ code: 'permission-denied' })
      const [grant] = /ALTER ROLE "\w+" \w+;/.exec(error.hint ?? '') ?? []
      expect(grant).toBe(`ALTER ROLE "${user}" ${attribute};`)
      await sql(grant ?? '')
    }
    const tenantry = await openTenantry({ models, servers: [server], installation })
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'onboarded' })
    expect(await tenantry.onboard('a')).toMatchObject({ outcome: 'already-exists' })
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    await tenantry.close()
  })

  it('cancelled by its signal makes nothing', async () => {
    const installation = disposableName('i')
    const reason = new Error('enough')
    const config = { models, servers: [postgres({ url: serverUrl() })], installation }
    const error = await errorOf(openTenantry({ ...config, signal: AbortSignal.abort(reason) }))
    expect(error).toMatchObject({ code: 'aborted', cause: reason })
    expect(await sql('select 1 from pg_database where starts_with(datname, $1)', [installation])).toEqual([])
  })
})

describe('the configuration', () => {
  const server = () => postgres({ url: serverUrl() })
  it.each([
    ['an unknown option', () => ({ models, servers: [server()], modles: 1 }), 'invalid-option'],
    ['no models', () => ({ servers: [server()] }), 'invalid-option'],
    [
      'another catalog server of the same name',
      () => ({ models, servers: [server()], catalog: { server: server() } }),
      'invalid-option',
    ],
    ['no servers', () => ({ models, servers: [] }), 'invalid-option'],
    ['two servers of one name', () => ({ models, servers: [server(), server()] }), 'invalid-option'],
    [
      'an installation with an underscore',
      () => ({ models, servers: [server()], installation: 'a_b' }),
      'invalid-option',
    ],
    ['a wait of nothing', () => ({ models, servers: [server()], pool: { waitMs: 0 } }), 'invalid-option'],
  ])('with %s is refused', async (_, config, code) => {
    expect(await errorOf(openTenantry(config() as never))).toMatchObject({ code })
  })

  it.each([
    ['an unknown option', { url: 'postgresql://h/d', pool: 3 }, 'invalid-option'],
    ['no url', {}, 'invalid-url'],
    ['half a connection', { url: 'postgresql://h/d', maxConnections: 0.5 }, 'invalid-option'],
  ])('of a server with %s is refused', (_, options, code) => {
    expect(() => postgres(options as never)).toThrow(expect.objectContaining({ code }))
  })

  it('without a server takes the one of DATABASE_URL', async () => {
    const before = process.env['DATABASE_URL']
    process.env['DATABASE_URL'] = serverUrl()
    try {
      const tenantry = await openTenantry({ models, installation: disposableName('i') })
      expect(await tenantry.tenants.list()).toEqual([])
      await tenantry.close()
    } finally {
      if (before === undefined) delete process.env['DATABASE_URL']
      else process.env['DATABASE_URL'] = before
    }
  })

  it('without a server in production is refused before anything is started', async () => {
    const before = process.env['NODE_ENV']
    process.env['NODE_ENV'] = 'production'
    try {
      const error = await errorOf(openTenantry({ models }))
      expect(error).toMatchObject({ code: 'embedded-in-production' })
    } finally {
      process.env['NODE_ENV'] = before
    }
  })
})
