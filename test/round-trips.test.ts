import { checkDatabase, ensureDatabase, ensureTables, openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Address, User } from '../examples/service/models.ts'
import { type CountingProxy, startCountingProxy } from './support/counting-proxy.ts'
import { errorOf, serverUrl, sqlAt, uniqueName, useOwnServer } from './support/server.ts'

// The costs: connections, and statements, each of which is a round trip. A change that adds one shows here.

/** Models as another process has them, which has compared nothing yet. */
const anew = () => mikroOrm({ entities: [User, Address] })
const models = anew()
let proxy: CountingProxy
// On a server of its own: a login of another suite that is under way costs one more look.
// A statement of over a second has a watch, which looks for its blockers.
useOwnServer({ max_prepared_transactions: 10 })
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

/** The structure of a database, as PostgreSQL words it. */
const structure = 1

describe('ensureDatabase', () => {
  const database = uniqueName()

  it('that creates: two connections more than none, the default locale, and CREATE DATABASE', async () => {
    const [locale, create] = [1, 1]
    expect(await costOf(() => ensureDatabase(through(database)))).toEqual({
      connections: 2,
      statements: locale + create,
    })
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
  const database = uniqueName()
  beforeAll(() => ensureDatabase(serverUrl({ database })))

  it('that creates: the structure; then, in one transaction, the lock, the structure, all statements in one trip, the structure, and a memory of it', async () => {
    const [begin, commit, lock, create] = [1, 1, 1, 1]
    const remember = 1 + 1 // a savepoint, and the statements
    const statements = structure + begin + lock + structure + create + structure + remember + commit
    expect(await costOf(() => ensureTables(through(database), models))).toEqual({ connections: 1, statements })
  })

  it('of tables that exist: the structure', async () => {
    const cost = await costOf(() => ensureTables(through(database), anew()))
    expect(cost).toEqual({ connections: 1, statements: structure })
  })

  it('of tables that exist and were never compared: the structure, what the models make, and a memory of it', async () => {
    await sqlAt(serverUrl({ database }), 'drop schema tenantry_structure')
    const build = 1
    const remember = 1 + 1 + structure + 1 + 1 + 1 // begin, the lock, what others remember, a savepoint, commit
    const cost = await costOf(() => ensureTables(through(database), anew()))
    expect(cost).toEqual({ connections: 1, statements: structure + build + remember })
    const again = await costOf(() => ensureTables(through(database), anew()))
    expect(again).toEqual({ connections: 1, statements: structure })
  })
})

describe('checkDatabase', () => {
  const database = uniqueName()

  it('of a database that is missing: one connection', async () => {
    const cost = await costOf(() => checkDatabase(through(database), models))
    expect(cost).toEqual({ connections: 1, statements: 0 })
  })

  it('of any other: the structure', async () => {
    await ensureDatabase(serverUrl({ database }))
    const check = () => checkDatabase(through(database), anew())
    expect(await costOf(check)).toEqual({ connections: 1, statements: structure })
    await ensureTables(serverUrl({ database }), models)
    expect(await costOf(check)).toEqual({ connections: 1, statements: structure })
  })
})

describe('openTenantry and onboard', () => {
  /** The catalog, and the tenants held against the stamps of its server. */
  const look = 1
  /** The look for schemas of the maintenance database in which every role may create: beside the rest. */
  const warn = 1
  const installation = uniqueName('i')
  const open = () => openTenantry({ models, servers: [postgres({ url: through() })], installation })

  it('opening for the first time: the catalog and its tables', async () => {
    const cost = await costOf(async () => (await open()).close())
    const [create, version] = [1, 1]
    const steps = 1 // all of the catalog's migrations
    const make = 1 + 1 + 1 + steps + 1 + 1 // begin, lock, look again, the steps, the installation's row, commit
    const closed = 1 // before anybody can connect to it
    const roles = 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 // a look; begin, lock, look again, make them, whose member, commit; a look
    const key = 1 + 1 + 1 // begin, the key check, commit
    const register = 1 + 1 // the server and the version
    const opened = look + version + make + closed + look + roles + key + register
    expect(cost).toEqual({ connections: 3 + 1, statements: create + opened + warn })
  })

  it('opening again: one connection to the catalog, and one beside it, with a statement each', async () => {
    const cost = await costOf(async () => (await open()).close())
    expect(cost).toEqual({ connections: 1 + 1, statements: look + warn })
  })

  /** A claim that finds no spare; the lock; the row and its next state; the look for the database. */
  const begin = 1 + 1 + 2 + 1
  /** The steps of a new database: its grants, tables in a transaction, and a look at the result. */
  const fill = 1 + (1 + 1 + 1) + structure
  /** The look for the roles, once on each server. */
  const roles = 1
  /** A database, and the grants of the privilege to connect to it. */
  const create = 1 + 1
  /** The name and the stamp, with the tenant's role; the password, and the transition. */
  const [named, madeActive] = [1, 1 + 1]
  const transaction = (statements: number) => 1 + statements + 1
  const unlock = 1

  it('onboarding the first tenant: the template is built, on connections of its own', async () => {
    const tenantry = await open()
    await tenantry.tenants.get('none')
    const cost = await costOf(() => tenantry.onboard('acme'))
    const build = 1 + 1 + 1 + 1 + roles + create + fill + transaction(1 + 1) // lock, look, leftovers, row; sealed
    const statements = begin + look + build + create + transaction(named + madeActive) + unlock
    // The claim has a connection of its own.
    expect(cost).toEqual({ connections: 1 + 1 + 4, statements })
    await tenantry.close()
  })

  it('onboarding another: the template is looked at and copied', async () => {
    const tenantry = await open()
    await tenantry.onboard('another')
    const statements = begin + look + create + transaction(named + madeActive) + unlock
    expect(await costOf(() => tenantry.onboard('third'))).toEqual({ connections: 0, statements })
    await tenantry.close()
  })

  it('onboarding a tenant by a claim: one statement', async () => {
    const filled = Promise.withResolvers<void>()
    const keeping = await openTenantry({
      models,
      servers: [postgres({ url: serverUrl() })],
      installation,
      templates: { spares: 1 },
    })
    keeping.on(({ event }) => event === 'spare-filled' && filled.resolve())
    await filled.promise
    await keeping.close()
    const tenantry = await open()
    await tenantry.onboard('acme')
    expect(await costOf(() => tenantry.onboard('claimed'))).toEqual({ connections: 0, statements: 1 })
    await tenantry.close()
  })

  it('onboarding on a server without the catalog: a lock there, the look for a spare, and transactions of their own', async () => {
    const servers = ['main', 'second'].map((name) => postgres({ name, url: through() }))
    const tenantry = await openTenantry({ models, servers, installation })
    await tenantry.tenants.get('none')
    const stillLocked = 1
    const [lockThere, spare] = [1 + stillLocked, transaction(1)]
    const both = (there: number, here: number) => transaction(there) + transaction(here)
    const build = 1 + lockThere + 1 + 1 + 1 + roles + create + fill + both(1, 1)
    // Its administrative database: not found, made on a connection to the maintenance database, connected to.
    const administration = create
    const making = spare + look + build + create + both(named, madeActive)
    const statements = begin + administration + lockThere + making + unlock + unlock
    const cost = await costOf(() => tenantry.onboard('far', { server: 'second' }))
    expect(cost).toEqual({ connections: 1 + 2 + 2 + 5, statements })
    await tenantry.close()
  })

  it('onboarding a tenant that exists: one statement', async () => {
    const tenantry = await open()
    await tenantry.onboard('acme')
    expect(await costOf(() => tenantry.onboard('acme'))).toEqual({ connections: 0, statements: 1 })
    await tenantry.close()
  })

  it('work for a tenant: to listen and to take a share once, one statement to find it the first time, then its own only', async () => {
    const tenantry = await open()
    await tenantry.tenants.get('none')
    const work = () => tenantry.with('acme', (em) => em.count(User))
    const listen = 1 + 1 // LISTEN, and the lock that shows it
    const share = 1 + 1 + 1 + 1 + 1 // the lock, who else has one, the sessions on the server, what is taken, the unlock
    const find = 1
    expect(await costOf(work)).toEqual({ connections: 1 + 1, statements: listen + share + find + 1 })
    expect(await costOf(work)).toEqual({ connections: 0, statements: 1 })
    await tenantry.close()
  })
})

describe("the verbs of a tenant's life", () => {
  const installation = uniqueName('i')
  let tenantry: Awaited<ReturnType<typeof open>>
  const open = (servers = [postgres({ name: 'main', url: through() })]) =>
    openTenantry({ models, servers, installation })

  beforeAll(async () => {
    tenantry = await open()
    for (const id of ['a', 'other']) await tenantry.onboard(id)
    // The process listens, and has its connection to the catalog; below, no connection has to end first.
    await tenantry.with('other', (em) => em.count(User))
  })
  // A session for administration is kept for three seconds: the call before may be longer ago.
  beforeEach(() => errorOf(tenantry.tenants.resume('unknown')))
  afterAll(() => tenantry.close())

  /**
   * The proxy releases a client before the server has: until then the lock of the call before is tried more than once.
   */
  async function costOfVerb(work: () => Promise<unknown>) {
    const locked = () =>
      sqlAt(
        serverUrl({ database: 'postgres' }),
        `select 1 from pg_locks join pg_database on pg_database.oid = database
         where locktype = 'advisory' and mode = 'ExclusiveLock' and datname in ($1, $2)`,
        [`${installation}_catalog`, `${installation}_admin`],
      )
    await expect.poll(locked, { timeout: 20_000, interval: 10 }).toEqual([])
    return costOf(work)
  }

  /** The lock, on a connection that was used before, and its end. */
  const locked = 1 + 1
  const [find, evict, present, empty, describe_, rename, prepared, logins] = [1, 1, 1, 1, 1, 1, 1, 1]
  /** A transaction that takes a transition and writes its audit entry by the same statement. */
  const transition = 1 + 1 + 1
  /** The notification of every process, and the look for others. */
  const letGo = evict + present
  /** The role cannot log in any more, and no session is left from before. */
  const lockedOut = 1 + empty

  it('looking: one statement each, and none that connects', async () => {
    const looks = [
      () => tenantry.tenants.get('a'),
      () => tenantry.tenants.list({ state: 'active', search: 'a' }),
      () => tenantry.tenants.history('a'),
      () => tenantry.tenants.environment('a'),
    ]
    for (const look of looks) expect(await costOfVerb(look)).toEqual({ connections: 0, statements: 1 })
    const [counts, migration, inventory] = [1, 1, 1]
    expect(await costOfVerb(() => tenantry.status())).toEqual({
      connections: 0,
      statements: counts + migration + inventory,
    })
  })

  it('check: to find it, and its structure with owners and grants on a connection of its own', async () => {
    expect(await costOfVerb(() => tenantry.tenants.check('a'))).toEqual({
      connections: 1,
      statements: find + structure,
    })
  })

  it('update: a transaction with the row, the change and the audit entry; without the last two where nothing changes', async () => {
    const change = () => tenantry.tenants.update('a', { displayName: 'A' })
    const [begin, row, write, audit, commit] = [1, 1, 1, 1, 1]
    expect(await costOfVerb(change)).toEqual({ connections: 0, statements: begin + row + write + audit + commit })
    expect(await costOfVerb(change)).toEqual({ connections: 0, statements: begin + row + commit })
  })

  it('a domain: a transaction with the row of the tenant, the change, the audit entry, and the resulting row', async () => {
    const given = { proof: 'given' } as const
    const [begin, row, write, audit, read, commit] = [1, 1, 1, 1, 1, 1]
    const add = () => tenantry.domains.add('a', 'a.example')
    const added = begin + row + write + audit + read + commit
    expect(await costOfVerb(add)).toEqual({ connections: 0, statements: added })
    expect(await costOfVerb(add)).toEqual({ connections: 0, statements: added - audit })
    const verify = () => tenantry.domains.verify('a', 'a.example', given)
    expect(await costOfVerb(verify)).toEqual({ connections: 0, statements: read + added })
    expect(await costOfVerb(verify)).toEqual({ connections: 0, statements: read })
    const remove = () => tenantry.domains.remove('a', 'a.example')
    expect(await costOfVerb(remove)).toEqual({ connections: 0, statements: added - read })
  })

  it('the tenant of a domain: one statement the first time, none from then on, even if it has none', async () => {
    await tenantry.domains.add('a', 'b.example')
    await tenantry.domains.verify('a', 'b.example', { proof: 'given' })
    await expect.poll(() => tenantry.domains.tenantOf('b.example')).toMatchObject({ tenant: 'a' })
    for (const domain of ['c.example', 'd.example']) {
      const ask = () => tenantry.domains.tenantOf(domain)
      expect(await costOfVerb(ask)).toEqual({ connections: 0, statements: 1 })
      expect(await costOfVerb(ask)).toEqual({ connections: 0, statements: 0 })
    }
  })

  it('suspend: a session with the lock, the transition, then every process lets go and the database is empty', async () => {
    const suspend = () => tenantry.tenants.suspend('a')
    const left = describe_ + lockedOut + letGo + empty + logins + prepared
    expect(await costOfVerb(suspend)).toEqual({ connections: 0, statements: locked + find + transition + left })
    expect(await costOfVerb(suspend)).toEqual({ connections: 0, statements: locked + find + left })
  })

  it('resume: a session with the lock, and the transition, with which the role can log in again', async () => {
    const resume = () => tenantry.tenants.resume('a')
    expect(await costOfVerb(resume)).toEqual({ connections: 0, statements: locked + find + describe_ + 1 + transition })
    expect(await costOfVerb(resume)).toEqual({ connections: 0, statements: locked + find })
  })

  it('offboard: the same as suspend, and the database is looked for and renamed in a transaction', async () => {
    const offboard = () => tenantry.tenants.offboard('a')
    // The database has no session, and the role has none in any other.
    const leave = describe_ + lockedOut + letGo + empty + logins + empty + prepared
    const archived = 1 + rename + 1
    expect(await costOfVerb(offboard)).toEqual({
      connections: 0,
      statements: locked + find + transition + leave + archived,
    })
    expect(await costOfVerb(offboard)).toEqual({ connections: 0, statements: locked + find + describe_ })
  })

  it('restore: the database is looked for, and renamed in the transaction that takes the transition', async () => {
    const restore = () => tenantry.tenants.restore('a')
    expect(await costOfVerb(restore)).toEqual({
      connections: 0,
      statements: locked + find + describe_ + transition + rename,
    })
    expect(await costOfVerb(restore)).toEqual({ connections: 0, statements: locked + find })
  })

  it('clone: the source, then as onboard does, without tables to make, but every process lets go of the source', async () => {
    const clone = () => tenantry.tenants.clone('a', 'b')
    const [source, known, intend, read, create, sourceAgain] = [1, 1, 1, 1, 1, 1]
    const look = source + locked + known
    const [closed, password, owned] = [1, 1, 1]
    const make = intend + read + describe_ + letGo + create + closed + sourceAgain + owned
    const name = transition + rename + password
    expect(await costOfVerb(clone)).toEqual({ connections: 0, statements: look + make + name })
    expect(await costOfVerb(clone)).toEqual({ connections: 0, statements: look + intend + read })
  })

  it('purge: the database is looked for and left, renamed with the transition, dropped, then its role, and the row is removed', async () => {
    await tenantry.tenants.offboard('b')
    const purge = () => tenantry.tenants.purge('b')
    // The database is looked up twice: once for a tenant of which nothing but its history is left.
    const look = locked + find + find + describe_
    const [drop, helpers, ofRole, remove] = [1 + 1, 1, 1, 1]
    expect(await costOfVerb(purge)).toEqual({
      connections: 0,
      statements: look + empty + prepared + transition + rename + drop + helpers + ofRole + remove,
    })
    const history = 1
    expect(await costOfVerb(purge)).toEqual({ connections: 0, statements: locked + find + history })
    expect(await costOfVerb(() => tenantry.tenants.purgeExpired())).toEqual({ connections: 0, statements: 1 })
  })

  it('adopt: a look at the database on a connection there, then the row, the grants on another, and the stamp and the role with the transition', async () => {
    const database = `${installation}_own`
    await ensureDatabase(serverUrl({ database }))
    await ensureTables(serverUrl({ database }), models)
    const adopt = () => tenantry.tenants.adopt('c', { database })
    const look = describe_ + structure
    const [intend, read, closed, granted, stamp, password] = [1, 1, 1 + logins + empty + prepared, 1 + 1 + 1, 1, 1]
    expect(await costOfVerb(adopt)).toEqual({
      connections: 1 + 1,
      statements: locked + find + look + intend + read + closed + granted + transition + stamp + password,
    })
    expect(await costOfVerb(adopt)).toEqual({ connections: 0, statements: locked + find })
  })

  it('offboard, restore and purge on a server without the catalog: a session and a lock there, and a transaction', async () => {
    await tenantry.close()
    const two = await open(['main', 'second'].map((name) => postgres({ name, url: through() })))
    await two.onboard('far', { server: 'second' })
    await two.with('other', (em) => em.count(User))
    const stillLocked = 1
    const [there, begin, commit] = [locked + stillLocked, 1, 1]
    const renamed = begin + rename + commit
    const left = lockedOut + letGo + empty + logins + empty + prepared
    const statements = locked + find + transition + there + describe_ + left + renamed
    expect(await costOfVerb(() => two.tenants.offboard('far'))).toEqual({ connections: 0, statements })
    const back = there + describe_ + renamed
    expect(await costOfVerb(() => two.tenants.restore('far'))).toEqual({
      connections: 0,
      statements: locked + find + back + transition,
    })
    await two.tenants.offboard('far')
    const [drop, helpers, ofRole, remove] = [1 + 1, 1, 1, 1]
    const destroyed = there + describe_ + empty + prepared + renamed + transition + drop + helpers + ofRole + remove
    expect(await costOfVerb(() => two.tenants.purge('far'))).toEqual({
      connections: 0,
      statements: locked + find + find + destroyed,
    })
    await two.close()
  })
})
