import { checkDatabase, ensureDatabase, ensureTables, openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../examples/service/models.ts'
import { type CountingProxy, startCountingProxy } from './support/counting-proxy.ts'
import { disposableName, serverUrl } from './support/server.ts'

// What everything costs: connections, and statements, of which each is a round trip. A change that adds one shows here.

const models = mikroOrm({ entities: [User, Address] })
let proxy: CountingProxy
const through = (database = '') => proxy.url(serverUrl({ database }))

beforeAll(async () => {
  proxy = await startCountingProxy(serverUrl())
})
afterAll(() => proxy.close())

async function costOf(work: () => Promise<unknown>) {
  proxy.take()
  await work()
  const { connections, statements } = proxy.take()
  return { connections, statements }
}

/** MikroORM's look at a database, and ours at its schemas. */
const comparison = 14
/** The same on a database without any of the tables. */
const comparisonOfNothing = 5

describe('ensureDatabase', () => {
  const database = disposableName()

  it('that creates: two connections more than none, and CREATE DATABASE', async () => {
    expect(await costOf(() => ensureDatabase(through(database)))).toEqual({ connections: 2, statements: 1 })
  })

  it('of a database that exists: one connection and no statement', async () => {
    expect(await costOf(() => ensureDatabase(through(database)))).toEqual({ connections: 1, statements: 0 })
  })

  it('of a database that exists, with options to compare: one statement', async () => {
    const cost = await costOf(() => ensureDatabase(through(database), { encoding: 'UTF8' }))
    expect(cost).toEqual({ connections: 1, statements: 1 })
  })
})

describe('ensureTables', () => {
  const database = disposableName()
  beforeAll(() => ensureDatabase(serverUrl({ database })))

  it('that creates: a look; then, in one transaction, the lock, a look, all statements in one trip, and a look', async () => {
    const begin = 1
    const [commit, lock, create] = [1, 1, 1]
    const look = begin + comparisonOfNothing + commit
    const statements = look + begin + lock + comparisonOfNothing + create + comparison + commit
    expect(await costOf(() => ensureTables(through(database), models))).toEqual({ connections: 1, statements })
  })

  it('of tables that exist: a look in a transaction', async () => {
    expect(await costOf(() => ensureTables(through(database), models))).toEqual({
      connections: 1,
      statements: comparison + 2,
    })
  })
})

describe('checkDatabase', () => {
  const database = disposableName()

  it('of a database that is missing: one connection', async () => {
    const cost = await costOf(() => checkDatabase(through(database), models))
    expect(cost).toEqual({ connections: 1, statements: 0 })
  })

  it('of any other: a look in a transaction', async () => {
    await ensureDatabase(serverUrl({ database }))
    const check = () => checkDatabase(through(database), models)
    expect(await costOf(check)).toEqual({ connections: 1, statements: comparisonOfNothing + 2 })
    await ensureTables(serverUrl({ database }), models)
    expect(await costOf(check)).toEqual({ connections: 1, statements: comparison + 2 })
  })
})

describe('openTenantry and onboard', () => {
  const installation = disposableName('i')
  const open = () => openTenantry({ models, server: postgres({ url: through() }), installation })

  it('opening for the first time: the catalog and its tables', async () => {
    const cost = await costOf(async () => (await open()).close())
    const create = 1
    const look = 1
    const steps = 2 * (1 + 1) // each of the catalog's migrations: its statements in one trip, and its row
    const make = 1 + 1 + 1 + steps + 1 + 1 // begin, lock, look again, the steps, the installation's row, commit
    const register = 2 + 2 // the server and the version: looked for, then inserted
    const identify = 1
    expect(cost).toEqual({ connections: 4, statements: create + look + make + register + identify })
  })

  it('opening again: three connections, and a statement each for the catalog, servers, version and installation', async () => {
    const cost = await costOf(async () => (await open()).close())
    expect(cost).toEqual({ connections: 3, statements: 4 })
  })

  it('onboarding a tenant', async () => {
    const tenantry = await open()
    await tenantry.get('none')
    const cost = await costOf(() => tenantry.onboard('acme'))
    const look = 1
    const [lock, intend, read, described, create, stamp] = [1, 1, 1, 1, 1, 1]
    const tables = 1 + 1 + comparison + 1 // begin, all statements in one trip, the verification, commit
    const name = 1 + 1 + 1 + 1 // begin, rename and stamp, the row, commit
    const statements = look + lock + intend + read + described + create + stamp + tables + name
    expect(cost).toEqual({ connections: 2, statements })
    await tenantry.close()
  })

  it('onboarding a tenant on a server without the catalog: a session and a lock there, and a transaction more', async () => {
    const servers = ['main', 'second'].map((name) => postgres({ name, url: through() }))
    const tenantry = await openTenantry({ models, servers, installation })
    await tenantry.get('none')
    const cost = await costOf(() => tenantry.onboard('far', { server: 'second' }))
    const look = 1
    const [lock, intend, read, lockThere, described, create, stamp] = [1, 1, 1, 1, 1, 1, 1]
    const tables = 1 + 1 + comparison + 1
    const name = 1 + 1 + 1 // begin, rename and stamp, commit
    const row = 1 + 1 + 1 // begin, the row, commit
    const statements = look + lock + intend + read + lockThere + described + create + stamp + tables + name + row
    expect(cost).toEqual({ connections: 3, statements })
    await tenantry.close()
  })

  it('onboarding a tenant that exists: one statement', async () => {
    const tenantry = await open()
    await tenantry.get('none')
    expect(await costOf(() => tenantry.onboard('acme'))).toEqual({ connections: 0, statements: 1 })
    await tenantry.close()
  })

  it('work for a tenant: to listen once, one statement to find it the first time, then its own only', async () => {
    const tenantry = await open()
    await tenantry.get('none')
    const work = () => tenantry.with('acme', (em) => em.count(User))
    const listen = 1 + 1 // LISTEN, and the lock that shows it
    const find = 1
    expect(await costOf(work)).toEqual({ connections: 1 + 1, statements: listen + find + 1 })
    expect(await costOf(work)).toEqual({ connections: 0, statements: 1 })
    await tenantry.close()
  })
})
