import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Cascade, defineEntity, p, RequestContext } from '@mikro-orm/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import { Client } from 'pg'
import { ensureDatabase, ensureTables, type TenantHandles, type TenantIdentity } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { Customer, entities as shopEntities } from '../../examples/shop/models.ts'
import { disposableName, errorOf, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { tenantPool } from './tenant-pool.ts'

// Two tenants' handles straight from the adapter, without Tenantry's own context around them: the adapter alone
// separates them here.

const models = mikroOrm({ entities: [User, Address] })
const names = [disposableName('isoa'), disposableName('isob')] as const
const pools = [tenantPool(names[0], 4), tenantPool(names[1], 4)] as const
let a: TenantHandles<EntityManager>
let b: TenantHandles<EntityManager>

beforeAll(async () => {
  for (const database of names) {
    await ensureDatabase(serverUrl({ database }))
    await ensureTables(serverUrl({ database }), models)
  }
  a = await models.handles.open(pools[0], tenant('a'))
  b = await models.handles.open(pools[1], tenant('b'))
})

beforeEach(async () => {
  for (const database of names) {
    await sql('truncate user_account, address restart identity', [], database)
    await sql('insert into user_account (name) values ($1)', [`user of ${database}`], database)
  }
})

const tenant = (id: string): TenantIdentity => ({ id, rowId: `row of ${id}` })
const userOf = (index: 0 | 1) => `user of ${names[index]}`

describe("another tenant's context", () => {
  it("of a transaction is not entered by a tenant's EntityManager that follows contexts", async () => {
    const follower = b.handle().fork({ useContext: true })
    const found = await a.handle().transactional(() => follower.find(User, {}))
    expect(found.map(({ name }) => name)).toEqual([userOf(1)])
  })

  it("of a request is not entered by a tenant's EntityManager that follows contexts", async () => {
    const follower = b.handle().fork({ useContext: true })
    const found = await RequestContext.create(a.handle(), () => follower.find(User, {}))
    expect(found.map(({ name }) => name)).toEqual([userOf(1)])
  })
})

describe('the result cache', () => {
  it.each([
    ['by query', 10_000],
    ['by name', ['users', 10_000] as [string, number]],
  ])('%s serves no rows of another tenant', async (_, cache) => {
    expect((await a.handle().find(User, {}, { cache })).map(({ name }) => name)).toEqual([userOf(0)])
    expect((await b.handle().find(User, {}, { cache })).map(({ name }) => name)).toEqual([userOf(1)])
  })

  it('still serves values that the same tenant stored', async () => {
    const cache: [string, number] = ['kept', 10_000]
    await a.handle().find(User, {}, { cache })
    await sql('delete from user_account', [], names[0])
    expect(await a.handle().find(User, {}, { cache })).toHaveLength(1)
  })

  it("is cleared for one tenant by its own clearCache, not by another's", async () => {
    const cache: [string, number] = ['cleared', 10_000]
    await a.handle().find(User, {}, { cache })
    await sql('delete from user_account', [], names[0])
    await b.handle().clearCache('cleared')
    expect(await a.handle().find(User, {}, { cache })).toHaveLength(1)
    await a.handle().clearCache('cleared')
    expect(await a.handle().find(User, {}, { cache })).toHaveLength(0)
  })

  it('set for all queries serves no rows of another tenant', async () => {
    const cached = mikroOrm({ entities: [User, Address], resultCache: { global: 10_000 } })
    const [one, other] = [
      await cached.handles.open(pools[0], tenant('a')),
      await cached.handles.open(pools[1], tenant('b')),
    ]
    expect((await one.handle().find(User, {})).map(({ name }) => name)).toEqual([userOf(0)])
    expect((await other.handle().find(User, {})).map(({ name }) => name)).toEqual([userOf(1)])
  })
})

describe('the result cache of a tenant', () => {
  const cache: [string, number] = ['users', 600_000]

  it.each([
    ['by query', 600_000],
    ['by name', cache],
  ])('%s serves no rows of a purged tenant to the next one with its id', async (_, kept) => {
    const tenantry = await openTestTenantry(models)
    const cachedNames = () =>
      tenantry.with('acme', async (em) => (await em.find(User, {}, { cache: kept })).map(({ name }) => name))
    await tenantry.onboard('acme')
    await tenantry.with('acme', (em) => em.insert(User, { name: 'of the first', fullname: null }))
    expect(await cachedNames()).toEqual(['of the first'])
    await tenantry.tenants.offboard('acme')
    await tenantry.tenants.purge('acme')
    await tenantry.onboard('acme')
    expect(await cachedNames()).toEqual([])
  })

  it('serves nothing that a hook has read before the tenant was active', async () => {
    const tenantry = await openTestTenantry(models, {
      hooks: {
        initialise: async (em) => {
          await em.find(User, {}, { cache })
          await em.insert(User, { name: 'by the hook', fullname: null })
        },
      },
    })
    await tenantry.onboard('acme')
    expect(await tenantry.with('acme', (em) => em.find(User, {}, { cache }))).toMatchObject([{ name: 'by the hook' }])
  })
})

describe("another tenant's entity", () => {
  const refused = { code: 'cross-tenant-entity' }

  it('is not written when it was changed', async () => {
    const user = await a.handle().findOneOrFail(User, 1)
    user.name = 'changed'
    const em = b.handle()
    expect(await errorOf(attempted(() => em.persist(user).flush()))).toMatchObject(refused)
    expect(await sql('select name from user_account', [], names[1])).toEqual([{ name: userOf(1) }])
  })

  it('is not referred to', async () => {
    const user = await a.handle().findOneOrFail(User, 1)
    const em = b.handle()
    expect(await errorOf(attempted(() => em.create(Address, { emailAddress: 'x@example.org', user })))).toMatchObject(
      refused,
    )
    await em.flush()
    expect(await sql('select * from address', [], names[1])).toEqual([])
  })

  it('is not removed', async () => {
    const user = await a.handle().findOneOrFail(User, 1)
    expect(await errorOf(attempted(() => b.handle().remove(user).flush()))).toMatchObject(refused)
    expect(await sql('select 1 from user_account', [], names[1])).toHaveLength(1)
  })

  it('is not added to a collection', async () => {
    const address = await a.handle().transactional((em) => {
      const user = em.create(User, { name: 'other', fullname: null })
      return em.create(Address, { emailAddress: 'moved@example.org', user })
    })
    const em = b.handle()
    const user = await em.findOneOrFail(User, 1, { populate: ['addresses'] })
    expect(await errorOf(attempted(() => user.addresses.add(address)))).toMatchObject(refused)
    expect(await errorOf(em.flush())).toMatchObject(refused)
    expect(await sql('select * from address', [], names[1])).toEqual([])
  })

  it('is not put among the many of many to many, with or without a cascade', async () => {
    const Label = defineEntity({
      name: 'Label',
      properties: { id: p.integer().primary().autoincrement(), word: p.string() },
    })
    const Text = defineEntity({
      name: 'Text',
      properties: {
        id: p.integer().primary().autoincrement(),
        labels: () => p.manyToMany(Label).owner(),
        marks: () => p.manyToMany(Label).owner().pivotTable('text_marks').cascade(Cascade.MERGE),
      },
    })
    const texts = mikroOrm({ entities: [Text, Label] })
    const databases = [disposableName('texta'), disposableName('textb')] as const
    for (const database of databases) {
      await ensureDatabase(serverUrl({ database }))
      await ensureTables(serverUrl({ database }), texts)
      await sql("insert into label (word) values ('one')", [], database)
      await sql('insert into text default values', [], database)
    }
    const [one, other] = [
      await texts.handles.open(tenantPool(databases[0]), tenant('a')),
      await texts.handles.open(tenantPool(databases[1]), tenant('b')),
    ]
    for (const relation of ['labels', 'marks'] as const) {
      const label = await one.handle().findOneOrFail(Label, 1)
      const em = other.handle()
      const text = await em.findOneOrFail(Text, 1, { populate: [relation] })
      text[relation].add(label)
      expect({ relation, error: await errorOf(em.flush()) }).toMatchObject({ relation, error: refused })
    }
    expect(await sql('select * from text_labels, text_marks', [], databases[1])).toEqual([])
  })

  it('that is new belongs to no tenant yet, and is written to the database of its handle', async () => {
    const em = b.handle()
    const user = em.create(User, { name: 'new', fullname: null })
    await em.persist(user).flush()
    expect(await sql('select name from user_account order by id', [], names[1])).toEqual([
      { name: userOf(1) },
      { name: 'new' },
    ])
  })
})

/** Returns a call as a promise, also if it throws. */
const attempted = async (call: () => unknown): Promise<unknown> => call()

describe('connections', () => {
  it("of one unit of work are not joined by another's writes, and its rollback is its own", async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('acme')
    const failed = tenantry.with('acme', (em) =>
      em.transactional(async (tx) => {
        tx.create(User, { name: 'rolled back', fullname: null })
        await tx.flush()
        await tenantry.with('acme', async (beside) => {
          beside.create(User, { name: 'stays', fullname: null })
          await beside.flush()
        })
        throw new Error('roll back')
      }),
    )
    await expect(failed).rejects.toThrow('roll back')
    const users = await tenantry.with('acme', (em) => em.find(User, {}))
    expect(users.map(({ name }) => name)).toEqual(['stays'])
  })

  it('that die inside a transaction give their place back', async () => {
    const tenantry = await openTestTenantry(models, { postgres: { maxConnections: 1 }, pool: { waitMs: 5_000 } })
    await tenantry.onboard('acme')
    for (let round = 0; round < 3; round++) {
      await errorOf(
        tenantry.with('acme', (em) =>
          em.transactional(async (tx) => {
            const [row] = (await tx.execute('select pg_backend_pid() as pid')) as [{ pid: number }]
            await sql('select pg_terminate_backend($1)', [row.pid])
            await tx.execute('select 1')
          }),
        ),
      )
    }
    await expect(tenantry.with('acme', (em) => em.count(User))).resolves.toBe(0)
  })

  it('parse dates for MikroORM alone', async () => {
    const shop = mikroOrm({ entities: shopEntities })
    const tenantry = await openTestTenantry(shop)
    await tenantry.onboard('acme')
    const joinedAt = new Date('2026-03-04T05:06:07.089Z')
    await tenantry.with('acme', async (em) => {
      em.create(Customer, { email: 'a@example.org', name: 'a', joinedAt })
      await em.flush()
    })
    const raw = await tenantry.with('acme', (em) => em.execute('select joined_at from customer'))
    expect(typeof (raw[0] as { joined_at: unknown }).joined_at).toBe('string')
    const client = new Client({ connectionString: serverUrl({ database: `${tenantry.installation}_t_acme` }) })
    await client.connect()
    const { rows } = await client.query('select joined_at from customer')
    await client.end()
    expect(rows).toEqual([{ joined_at: joinedAt }])
  })
})

describe('a handle', () => {
  it('shares the one discovery with all tenants', () => {
    expect(a.handle().getMetadata()).toBe(b.handle().getMetadata())
    expect(a.handle().getDriver()).not.toBe(b.handle().getDriver())
  })

  it('is a unit of work of its own each time', async () => {
    const [first, second] = [a.handle(), a.handle()]
    const same = (await first.findOneOrFail(User, 1)) === (await second.findOneOrFail(User, 1))
    expect(same).toBe(false)
  })

  it('costs a few kilobytes a tenant', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const count = 2_000
    await models.handles.open(pools[0], tenant('warm-up'))
    collect()
    const before = process.memoryUsage().heapUsed
    const opened = await Promise.all(
      Array.from({ length: count }, (_, i) => models.handles.open(pools[0], tenant(`t${i}`))),
    )
    collect()
    const each = (process.memoryUsage().heapUsed - before) / opened.length
    expect(each).toBeLessThan(8 * 1024)
  })
})
