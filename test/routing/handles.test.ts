import { CompiledQuery } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Models } from 'tenantry/mikro-orm'
import { userAccount } from '../../bench/models/drizzle.ts'
import { drizzleModels, kyselyModels } from '../../bench/peers/handles.ts'
import { errorOf } from '../support/server.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'

// Other libraries' handles on a tenant's pool: single statements and transactions, made once for each tenant.

/** The operations of a library, by its own means. */
interface Library<Handle> {
  readonly models: Models<Handle>
  readonly add: (db: Handle, name: string) => Promise<unknown>
  readonly names: (db: Handle) => Promise<readonly string[]>
  readonly database: (db: Handle) => Promise<unknown>
  /** Runs in one transaction, which fails after the row if an error is given. */
  readonly transaction: (db: Handle, name: string, error?: Error) => Promise<unknown>
  readonly fail: (db: Handle) => Promise<unknown>
}

type HandleOf<M> = M extends Models<infer Handle> ? Handle : never

const currentDatabase = 'select current_database() as name'

const kysely: Library<HandleOf<ReturnType<typeof kyselyModels>>> = {
  models: kyselyModels(),
  add: (db, name) => db.insertInto('user_account').values({ name, fullname: null }).execute(),
  names: async (db) =>
    (await db.selectFrom('user_account').select('name').orderBy('id').execute()).map((row) => row.name),
  database: async (db) => (await db.executeQuery(CompiledQuery.raw(currentDatabase))).rows[0],
  transaction: (db, name, error) =>
    db.transaction().execute(async (tx) => {
      await tx.insertInto('user_account').values({ name, fullname: null }).execute()
      if (error) throw error
    }),
  fail: (db) => db.executeQuery(CompiledQuery.raw('nonsense')),
}

const drizzle: Library<HandleOf<ReturnType<typeof drizzleModels>>> = {
  models: drizzleModels(),
  add: (db, name) => db.insert(userAccount).values({ name }),
  names: async (db) => (await db.select().from(userAccount).orderBy(userAccount.id)).map((row) => row.name),
  database: async (db) => (await db.execute(currentDatabase)).rows[0],
  transaction: (db, name, error) =>
    db.transaction(async (tx) => {
      await tx.insert(userAccount).values({ name })
      if (error) throw error
    }),
  fail: (db) => db.execute('nonsense'),
}

function testOf<Handle>(library: Library<Handle>): void {
  let tenantry: TestTenantry<Handle>
  const { add, names, database, transaction, fail } = library

  beforeAll(async () => {
    // A lease that is not released keeps the next request from having one.
    tenantry = await openTestTenantry(library.models, { postgres: { maxConnections: 2 }, connectionWaitMs: 5_000 })
    for (const id of ['a', 'b', 'c']) await tenantry.onboard(id)
  })

  it('works on the database of its own tenant', async () => {
    const ids = Array.from({ length: 60 }, (_, place) => 'abc'[place % 3] as string)
    const found = await Promise.all(ids.map((id) => tenantry.with(id, database)))
    expect(found).toEqual(ids.map((id) => ({ name: `${tenantry.installation}_t_${id}` })))
  })

  it('is made once for each tenant', async () => {
    const [first, again, other] = await Promise.all(['a', 'a', 'b'].map((id) => tenantry.with(id, (db) => [db])))
    expect(again?.[0]).toBe(first?.[0])
    expect(other?.[0]).not.toBe(first?.[0])
  })

  it('commits a transaction, and rolls one back that fails', async () => {
    const mine = new Error('mine')
    await tenantry.with('a', (db) => add(db, 'added'))
    await tenantry.with('a', (db) => transaction(db, 'committed'))
    expect(await errorOf(tenantry.with('a', (db) => transaction(db, 'rolled back', mine)))).toBe(mine)
    expect(await tenantry.with('a', names)).toEqual(['added', 'committed'])
    expect(await tenantry.with('b', names)).toEqual([])
  })

  it('gives its connection back with an error', async () => {
    for (let time = 0; time < 5; time++) expect(await errorOf(tenantry.with('c', fail))).toBeInstanceOf(Error)
    expect(await tenantry.with('c', names)).toEqual([])
  })

  it('that was kept is refused while its tenant is out of service', async () => {
    const [kept] = await tenantry.with('c', (db) => [db])
    await tenantry.suspend('c', { drainMs: 0 })
    const error = (await errorOf(names(kept))) as Error
    expect([error, error.cause]).toContainEqual(expect.objectContaining({ code: 'tenant-not-active' }))
    await tenantry.resume('c')
    expect(await names(kept)).toEqual([])
  })
}

describe('Kysely', () => {
  testOf(kysely)
})
describe('Drizzle', () => {
  testOf(drizzle)
})
