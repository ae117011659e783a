import type { EntityManager } from '@mikro-orm/postgresql'
import { TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { type AnsweredFailure, claim, customDomain, header, subdomain, type TenantSource } from 'tenantry/requests'
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { afterwards, sql } from '../support/server.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'
import { HttpClient, type Question } from './client.ts'
import { type Counts, counting } from './counting-models.ts'
import { type AppParts, ownAnswer, type Serve } from './framework.ts'
import { conformanceRoutes, Happenings } from './routes.ts'

const bySubdomain = subdomain({ base: 'app.test' })
const { models, counts } = counting(mikroOrm({ entities: [User, Address] }))
/** In every response of the integrations' own. */
const noStore = { 'cache-control': 'no-store' }
const unknown = { error: 'tenant-unknown', message: 'There is no such tenant.' }

let tenantry: TestTenantry<EntityManager>
let happenings: Happenings
/** The errors logged in the current test, by a framework's logger or to the console. */
const logs: string[] = []

/** Returns a client of an app with these options, on a Tenantry of the installation. */
async function appOf(serve: Serve, options: Partial<AppParts> = {}, maxSockets?: number): Promise<HttpClient> {
  happenings = new Happenings()
  const logged = (text: string) => void logs.push(text)
  const parts = { tenantry, tenantFrom: [bySubdomain], exempt: ['/health', '/exempt'], logged, ...options }
  const app = await serve({ ...parts, routes: conformanceRoutes(parts.tenantry, happenings) })
  const client = new HttpClient(app.port, maxSockets)
  afterwards(async () => {
    client.close()
    await app.close()
  })
  return client
}

const budget = { maxConnections: 2 }

/** Another process of the installation until the test is over, with one connection for all tenants: half of the budget. */
async function withOneConnection(connectionWaitMs = 10_000): Promise<TestTenantry<EntityManager>> {
  const { installation } = tenantry
  const other = await openTestTenantry(models, { installation, postgres: budget, pool: { waitMs: connectionWaitMs } })
  onTestFinished(() => other.close())
  return other
}

const of = (tenant: string, question: Omit<Question, 'host'>): Question => ({ host: `${tenant}.app.test`, ...question })

/** The tests of every integration, for any framework. */
export function conformance(serve: Serve): void {
  beforeEach(() => {
    logs.length = 0
    vi.spyOn(console, 'error').mockImplementation((...parts: unknown[]) => void logs.push(parts.join(' ')))
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })
  beforeAll(async () => {
    tenantry = await openTestTenantry(models, { postgres: budget })
    for (const id of ['acme', 'beta', 'gone', 'left', 'trade']) await tenantry.onboard(id)
    await tenantry.tenants.suspend('gone')
    await tenantry.tenants.offboard('left')
  })
  describe('requests of tenants', () => {
    tenantsApart(serve)
  })
  describe('errors', () => {
    errors(serve)
  })
  describe('hooks', () => {
    failingHooks(serve)
  })
  describe('the log', () => {
    failuresLogged(serve)
  })
  describe('the end of a request', () => {
    ends(serve)
  })
  describe('where the tenant is named', () => {
    sources(serve)
  })
}

function tenantsApart(serve: Serve): void {
  it('that are interleaved never see rows of another', async () => {
    const client = await appOf(serve)
    const names = Array.from({ length: 40 }, (_, i) => `user ${i}`)
    const writes = names.flatMap((name) =>
      ['acme', 'beta'].map(async (tenant) => {
        const body = { name: `${name} of ${tenant}` }
        const answer = await client.ask(of(tenant, { method: 'POST', path: '/users', body }))
        expect(answer.body).toEqual({ tenant })
      }),
    )
    const reads = names.flatMap(() =>
      ['acme', 'beta'].map(async (tenant) => {
        const answer = await client.ask(of(tenant, { path: '/users' }))
        const seen = answer.body as { names: string[] }
        expect(seen).toMatchObject({ database: `${tenantry.installation}_t_${tenant}`, current: tenant, isOne: true })
        expect(seen.names.filter((name) => !name.endsWith(` of ${tenant}`))).toEqual([])
      }),
    )
    await Promise.all([...writes, ...reads])
    for (const tenant of ['acme', 'beta']) {
      const { body } = await client.ask(of(tenant, { path: '/users' }))
      expect((body as { names: string[] }).names.toSorted()).toEqual(
        names.map((name) => `${name} of ${tenant}`).toSorted(),
      )
    }
  })

  it('leave no tenant behind on the connection that they came over', async () => {
    const client = await appOf(serve, {}, 1)
    expect((await client.ask(of('acme', { path: '/id' }))).body).toEqual({ id: 'acme', current: 'acme' })
    expect((await client.ask(of('acme', { path: '/health' }))).body).toEqual({ tenant: 'no-tenant' })
    expect((await client.ask(of('beta', { path: '/id' }))).body).toEqual({ id: 'beta', current: 'beta' })
    expect((await client.ask({ path: '/health' })).body).toEqual({ tenant: 'no-tenant' })
    expect(() => tenantry.currentTenant()).toThrow(expect.objectContaining({ code: 'no-tenant' }))
  })

  it('begin no unit of work unless a route needs one', async () => {
    const client = await appOf(serve)
    const { begun } = await settled()
    await client.ask(of('acme', { path: '/id' }))
    expect(counts.begun).toBe(begun)
  })
}

function errors(serve: Serve): void {
  it.each(['nobody', 'left', 'a.b', 'a_b', 'www'])('%s is unknown', async (tenant) => {
    const client = await appOf(serve)
    const answer = await client.ask(of(tenant, { path: '/id' }))
    expect(answer).toMatchObject({ status: 404, headers: noStore, body: unknown })
  })

  it('no tenant at all is no other answer', async () => {
    const client = await appOf(serve)
    expect(await client.ask({ path: '/id' })).toMatchObject({ status: 404, headers: noStore, body: unknown })
  })

  it('a suspended tenant is forbidden', async () => {
    const client = await appOf(serve)
    const { status, headers, body } = await client.ask(of('gone', { path: '/users' }))
    expect({ status, body }).toMatchObject({ status: 403, body: { error: 'tenant-suspended' } })
    expect(headers).toMatchObject(noStore)
    expect(headers['retry-after']).toBeUndefined()
  })

  it('no free connection is 503 with Retry-After, and reveals nothing of the holders', async () => {
    const busy = await withOneConnection(1_000)
    const client = await appOf(serve, { tenantry: busy })
    const held = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const holder = busy.with('beta', (em) =>
      em.transactional(async (tx) => {
        await tx.execute('select 1')
        held.resolve()
        await release.promise
      }),
    )
    await held.promise
    const answer = await client.ask(of('acme', { path: '/users' }))
    release.resolve()
    await holder
    expect(answer).toMatchObject({ status: 503, headers: { ...noStore, 'retry-after': '1' }, body: { error: 'busy' } })
    expect(answer.text).not.toContain('beta')
    expect(await client.ask(of('acme', { path: '/users' }))).toMatchObject({ status: 200 })
  })

  it("an error of the service's own is the framework's", async () => {
    const client = await appOf(serve)
    const failed = await client.ask(of('acme', { method: 'POST', path: '/fail', body: {} }))
    expect(failed).toMatchObject({ status: 500 })
    expect(failed.text).toContain(ownAnswer)
    const mistake = await client.ask(of('acme', { path: '/mistake' }))
    expect(mistake).toMatchObject({ status: 500 })
    expect(mistake.text).toContain(ownAnswer)
  })

  it('an error that a handler meets on its way is answered alike', async () => {
    const client = await appOf(serve)
    expect(await client.ask(of('acme', { path: '/another' }))).toMatchObject({ status: 404, body: unknown })
    expect(await client.ask({ path: '/exempt' })).toMatchObject({ status: 404, body: unknown })
  })

  it('a hook changes the answer, leaves it, or leaves the error to the framework', async () => {
    const client = await appOf(serve, {
      onError: ({ code }) => {
        if (code === 'permission-denied') return { status: 418, headers: { 'x-hook': 'yes' }, body: { changed: code } }
        return code === 'tenant-not-active' ? 'framework' : undefined
      },
    })
    const changed = { status: 418, headers: { 'x-hook': 'yes' }, body: { changed: 'permission-denied' } }
    expect(await client.ask(of('acme', { path: '/mistake' }))).toMatchObject(changed)
    expect(await client.ask(of('nobody', { path: '/id' }))).toMatchObject({ status: 404, body: unknown })
    const left = await client.ask(of('gone', { path: '/id' }))
    expect(left).toMatchObject({ status: 500 })
    expect(left.text).toContain(ownAnswer)
  })
}

function failingHooks(serve: Serve): void {
  it("an error of the hook itself is the framework's, in every place of a call", async () => {
    const client = await appOf(serve, {
      onError: () => {
        throw new Error('The hook failed.')
      },
    })
    for (const [tenant, path] of [
      ['nobody', '/id'],
      ['acme', '/mistake'],
    ] as const) {
      const answer = await client.ask(of(tenant, { path }))
      expect(answer).toMatchObject({ status: 500 })
      expect(answer.text).toContain(ownAnswer)
    }
    expect(await client.ask(of('acme', { path: '/id' }))).toMatchObject({ status: 200 })
  })
}

function failuresLogged(serve: Serve): void {
  const unavailable = { status: 503, body: { error: 'unavailable' } }

  it("has each answer of 500 or above, with its cause, by the framework's own logger", async () => {
    const client = await appOf(serve)
    expect(await client.ask(of('acme', { path: '/lost' }))).toMatchObject(unavailable)
    expect(logs).toHaveLength(1)
    const [text = ''] = logs
    expect(text).toContain('A request of the tenant acme was answered with 503: connection-lost.')
    for (const part of ['The connection broke.', 'Call again.', 'The network went away.']) expect(text).toContain(part)
    expect(text).not.toContain('not to be logged')
  })

  it('receives errors before a tenant is found, such as a closed Tenantry', async () => {
    const closed = await openTestTenantry(models, { postgres: budget })
    await closed.close()
    const client = await appOf(serve, { tenantry: closed })
    expect(await client.ask(of('acme', { path: '/id' }))).toMatchObject(unavailable)
    expect(logs).toEqual([expect.stringContaining('A request of the tenant acme was answered with 503: closed.')])
  })

  it('has no answer below 500, and nothing that the framework answers', async () => {
    const client = await appOf(serve, { onError: ({ code }) => (code === 'connection-lost' ? 'framework' : undefined) })
    for (const tenant of ['nobody', 'left', 'gone']) await client.ask(of(tenant, { path: '/id' }))
    for (const path of ['/another', '/mistake', '/lost']) await client.ask(of('acme', { path }))
    expect(logs.filter((text) => text.includes('was answered with'))).toEqual([])
  })

  it('follows the status that a hook gives', async () => {
    const client = await appOf(serve, {
      onError: ({ code }) => ({ status: code === 'permission-denied' ? 502 : 404, body: {} }),
    })
    expect(await client.ask(of('acme', { path: '/lost' }))).toMatchObject({ status: 404 })
    expect(logs).toEqual([])
    expect(await client.ask(of('acme', { path: '/mistake' }))).toMatchObject({ status: 502 })
    expect(logs).toEqual([expect.stringContaining('was answered with 502: permission-denied.')])
  })

  it('is a function of the service where one is given', async () => {
    const failures: AnsweredFailure[] = []
    const client = await appOf(serve, { log: (failure) => void failures.push(failure) })
    expect(await client.ask(of('acme', { path: '/lost' }))).toMatchObject(unavailable)
    const told = { status: 503, code: 'connection-lost', tenant: 'acme', hint: 'Call again.' }
    expect(failures).toEqual([{ ...told, err: expect.any(TenantryError) as unknown }])
    expect(logs).toEqual([])
  })

  it('is left out where it is false', async () => {
    const client = await appOf(serve, { log: false })
    expect(await client.ask(of('acme', { path: '/lost' }))).toMatchObject(unavailable)
    expect(logs).toEqual([])
  })

  it('changes no answer by its own failure, and falls back to the console', async () => {
    const client = await appOf(serve, {
      log: () => {
        throw new Error('The log failed.')
      },
    })
    expect(await client.ask(of('acme', { path: '/lost' }))).toMatchObject(unavailable)
    expect(logs).toEqual([expect.stringContaining('was answered with 503: connection-lost.')])
  })
}

function ends(serve: Serve): void {
  it.each(['/fail', '/forget'])('rolls back a transaction that %s left open, and finishes once', async (path) => {
    const one = await withOneConnection()
    const client = await appOf(serve, { tenantry: one })
    const { begun } = await settled()
    await client.ask(of('acme', { method: 'POST', path, body: {} }))
    // It gets the only connection, once the one before is done with it.
    expect(await one.with('acme', (em) => em.count(User, { name: ['failed', 'forgotten'] }))).toBe(0)
    expect(await settled()).toEqual({ begun: begun + 2, finished: begun + 2 })
  })

  it('comes when the client goes away: its query is cancelled, and its connection is free', async () => {
    const one = await withOneConnection()
    const client = await appOf(serve, { tenantry: one })
    const { begun } = await settled()
    const request = client.begin(of('acme', { path: '/slow' }))
    request.on('error', () => undefined)
    await expect.poll(() => sleeping(tenantry.installation), { timeout: 20_000 }).toBe(1)
    request.destroy()
    expect(await happenings.told('slow')).toBeInstanceOf(Error)
    expect(await client.ask(of('acme', { path: '/users' }))).toMatchObject({ status: 200 })
    expect(await sleeping(tenantry.installation)).toBe(0)
    expect(await settled()).toEqual({ begun: begun + 3, finished: begun + 3 })
  })

  it.each(['/gone', '/gone-inside'])(
    'lets a handler that goes on without its client write nothing: %s',
    async (path) => {
      const one = await withOneConnection()
      const client = await appOf(serve, { tenantry: one })
      const request = client.begin(of('acme', { method: 'POST', path, body: {} }))
      request.on('error', () => undefined)
      await happenings.told('begun')
      request.destroy()
      expect(await happenings.told('after')).toBeInstanceOf(Error)
      const names = ['before the client went away', 'after the client went away']
      expect(await one.with('acme', (em) => em.count(User, { name: names }))).toBe(0)
    },
  )
}

function sources(serve: Serve): void {
  const asBeta = { 'x-tenant': 'beta' }

  it('is never a header, unless that is configured', async () => {
    const client = await appOf(serve)
    expect((await client.ask(of('acme', { path: '/id', headers: asBeta }))).body).toMatchObject({ id: 'acme' })
    expect(await client.ask({ path: '/id', headers: asBeta })).toMatchObject({ status: 404, body: unknown })
    const asking = await appOf(serve, { tenantFrom: [header('x-tenant')] })
    expect((await asking.ask({ path: '/id', headers: asBeta })).body).toMatchObject({ id: 'beta' })
    const twice = { 'x-tenant': ['beta', 'beta'] }
    expect(await asking.ask({ path: '/id', headers: twice })).toMatchObject({ status: 404, body: unknown })
  })

  it("refuses a token of one tenant at another's host, and one of none", async () => {
    const byToken: TenantSource = claim((request: object) => tokenOf(request))
    const client = await appOf(serve, { tenantFrom: [bySubdomain, byToken] })
    const ask = (authorization?: string) =>
      client.ask(of('acme', { path: '/id', ...(authorization && { headers: { authorization } }) }))
    expect((await ask('acme')).body).toMatchObject({ id: 'acme' })
    const refused = { status: 403, headers: noStore, body: { error: 'tenant-mismatch' } }
    expect(await ask('beta')).toMatchObject(refused)
    expect(await ask()).toMatchObject(refused)
  })

  it('may be a domain of its own, that is known and verified', async () => {
    const client = await appOf(serve, { tenantFrom: [bySubdomain, customDomain()] })
    await tenantry.domains.add('trade', 'shop.example')
    expect(await client.ask({ host: 'shop.example', path: '/id' })).toMatchObject({ status: 404, body: unknown })
    await tenantry.domains.verify('trade', 'shop.example', { proof: 'given' })
    expect((await client.ask({ host: 'Shop.Example:8080', path: '/id' })).body).toMatchObject({ id: 'trade' })
    expect(await client.ask({ host: 'other.example', path: '/id' })).toMatchObject({ status: 404, body: unknown })
    await tenantry.domains.remove('trade', 'shop.example')
    expect(await client.ask({ host: 'shop.example', path: '/id' })).toMatchObject({ status: 404, body: unknown })
  })

  it('is no host, where there are two', async () => {
    const client = await appOf(serve)
    const raw = 'GET /id HTTP/1.1\r\nHost: acme.app.test\r\nHost: beta.app.test\r\nConnection: close\r\n\r\n'
    expect(await client.askRaw(raw)).toMatch(/^HTTP\/1.1 4\d\d /)
    expect(await client.askRaw(raw.replace('Host: beta.app.test\r\n', ''))).toMatch(/^HTTP\/1.1 200 /)
  })

  it('trusts no forwarded host of an untrusted client', async () => {
    const client = await appOf(serve)
    const headers = { 'x-forwarded-host': 'beta.app.test', forwarded: 'host=beta.app.test' }
    expect((await client.ask(of('acme', { path: '/id', headers }))).body).toMatchObject({ id: 'acme' })
  })
}

/** The counts, when every unit of work that was begun has been finished: the client has its answer a moment before. */
async function settled(): Promise<Counts> {
  await expect.poll(() => counts.finished, { timeout: 20_000 }).toBe(counts.begun)
  return { ...counts }
}

/** Returns the number of sessions of the installation that sleep in a query. */
async function sleeping(installation: string): Promise<number> {
  const [row] = await sql<{ count: number }>(
    `select count(*)::int as count from pg_stat_activity
     where starts_with(datname, $1) and state = 'active' and query like 'select pg_sleep%'`,
    [`${installation}_`],
  )
  return row?.count ?? 0
}

/** The header that stands for a token, of Node's own requests and of Hono's context. */
function tokenOf(request: object): unknown {
  if ('headers' in request) return (request.headers as Record<string, unknown>)['authorization']
  return (request as { req: { header(name: string): unknown } }).req.header('authorization')
}
