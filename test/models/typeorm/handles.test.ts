import {
  type EntityManager,
  type EntitySubscriberInterface,
  EventSubscriber,
  In,
  type InsertEvent,
  QueryFailedError,
} from 'typeorm'
import { typeorm } from 'tenantry/typeorm'
import { describe, expect, it } from 'vitest'
import { errorOf, uniqueName } from '../../support/server.ts'
import { expectSessions, sessionsIn } from '../../support/sessions.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { authorView, entities, postSchema, userSchema } from './blog.ts'

/** The databases in which labels were made, as a subscriber sees them. */
const labelled: unknown[] = []
class LabelSubscriber implements EntitySubscriberInterface {
  listenTo = () => 'Label'
  async afterInsert({ dataSource, manager }: InsertEvent<object>): Promise<void> {
    const name = 'select current_database() as name'
    labelled.push(...(await manager.query<object[]>(name)), ...(await dataSource.query<object[]>(name)))
  }
}

EventSubscriber()(LabelSubscriber)

const models = typeorm({ entities, subscribers: [LabelSubscriber] })
const tenantry = await openTestTenantry(models)
const { tenant: acme } = await tenantry.onboard('acme')
await tenantry.onboard('globex')

const newName = () => uniqueName('user')
const userOf = (name: string) => ({
  name,
  tags: ['first', 'a,b'],
  posts: [{ title: 'Notes', labels: [{ text: 'new' }] }],
})
const countOf = (manager: EntityManager, name: string) => manager.countBy(userSchema, { name })

describe("a tenant's handle", () => {
  it('saves and reads relations, and rows of its own tenant alone', async () => {
    const name = newName()
    await tenantry.with('acme', (manager) => manager.save(userSchema, userOf(name)))
    const read = (id: string) =>
      tenantry.with(id, (manager) =>
        manager.find(userSchema, { where: { name }, relations: { posts: { labels: true } } }),
      )
    expect(await read('acme')).toEqual([
      {
        id: expect.any(Number),
        name,
        role: 'member',
        initial: name.slice(0, 1),
        tags: ['first', 'a,b'],
        settings: { theme: "it's" },
        createdAt: expect.any(Date),
        posts: [{ id: expect.any(String), title: 'Notes', labels: [{ id: expect.any(Number), text: 'new' }] }],
      },
    ])
    expect(await read('globex')).toEqual([])
    expect(await tenantry.with('acme', (manager) => manager.findBy(authorView, { name }))).toEqual([{ name, posts: 1 }])
    expect(labelled).toEqual([{ name: acme.database }, { name: acme.database }])
  })

  it('has repositories and query builders, with relations of their own', async () => {
    const name = newName()
    await tenantry.with('acme', async (manager) => {
      const users = manager.getRepository(userSchema)
      const user = await users.save(users.create(userOf(name)))
      const posts = await users.createQueryBuilder().relation('posts').of(user).loadMany()
      expect(posts).toEqual([{ id: expect.any(String), title: 'Notes' }])
      const found = await manager
        .createQueryBuilder(userSchema, 'user')
        .leftJoinAndSelect('user.posts', 'post')
        .where('user.name = :name', { name })
        .take(1)
        .getManyAndCount()
      expect(found).toMatchObject([[{ name, posts: [{ title: 'Notes' }] }], 1])
      expect(await users.find({ where: { name }, relations: { posts: true }, relationLoadStrategy: 'query' })).toEqual([
        expect.objectContaining({ posts }),
      ])
    })
  })

  it('streams rows', async () => {
    const names = [newName(), newName()]
    await tenantry.with('acme', async (manager) => {
      await manager.insert(
        userSchema,
        names.map((name) => ({ name })),
      )
      const builder = manager.createQueryBuilder(userSchema, 'u').where({ name: In(names) })
      const rows: unknown[] = []
      for await (const row of await builder.orderBy('u.id').stream()) rows.push(row)
      expect(rows).toMatchObject(names.map((name) => ({ u_name: name })))
    })
  })

  it("throws TypeORM's own errors", async () => {
    const name = newName()
    await tenantry.with('acme', async (manager) => {
      await manager.insert(userSchema, { name })
      const error = await errorOf(manager.insert(userSchema, { name }))
      expect(error).toBeInstanceOf(QueryFailedError)
      expect(error).toMatchObject({ driverError: { code: '23505' } })
      expect(await countOf(manager, name)).toBe(1)
    })
  })

  it('is of its own tenant where many units of work run at once', async () => {
    const names = Array.from({ length: 20 }, newName)
    const tenants = ['acme', 'globex']
    for (const id of tenants) {
      const users = names.map((name) => ({ name, tags: [id] }))
      await tenantry.with(id, (manager) => manager.insert(userSchema, users))
    }
    const { signal } = new AbortController()
    const reads = names.flatMap((name) =>
      tenants.flatMap((id) =>
        [{}, { signal }].map(async (options) => {
          const read = (manager: EntityManager) => manager.findOneByOrFail(userSchema, { name })
          const [plain, inTransaction] = await tenantry.with(
            id,
            (manager) => Promise.all([read(manager), manager.transaction(read)]),
            options,
          )
          return plain.tags[0] === id && inTransaction.tags[0] === id
        }),
      ),
    )
    expect((await Promise.all(reads)).filter((isOwn) => !isOwn)).toEqual([])
  })
})

describe('a transaction', () => {
  it('is committed, and its nested one rolled back by itself', async () => {
    const [outer, inner] = [newName(), newName()]
    await tenantry.with('acme', (manager) =>
      manager.transaction('SERIALIZABLE', async (transaction) => {
        await transaction.insert(userSchema, { name: outer })
        const nested = transaction.transaction(async (savepoint) => {
          await savepoint.insert(userSchema, { name: inner })
          throw new Error('of the work')
        })
        expect(await errorOf(nested)).toMatchObject({ message: 'of the work' })
      }),
    )
    const found = await tenantry.with('acme', (manager) => manager.findBy(userSchema, { name: In([outer, inner]) }))
    expect(found.map(({ name }) => name)).toEqual([outer])
  })

  it('that a unit of work left open is rolled back, and gives its connection back', async () => {
    const narrow = await openTestTenantry(models, { postgres: { maxConnections: 1 } })
    await narrow.onboard('acme')
    const name = newName()
    await narrow.with('acme', async (manager) => {
      const runner = manager.dataSource.createQueryRunner()
      await runner.startTransaction()
      await runner.manager.insert(userSchema, { name })
    })
    expect(await narrow.with('acme', (manager) => countOf(manager, name))).toBe(0)
  })

  it('that an abort of the signal interrupts is rolled back, and gives its connection back', async () => {
    const narrow = await openTestTenantry(models, { postgres: { maxConnections: 1 } })
    const { tenant } = await narrow.onboard('acme')
    const name = newName()
    const stop = new AbortController()
    const work = narrow.with(
      'acme',
      (manager) =>
        manager.transaction(async (transaction) => {
          await transaction.insert(userSchema, { name })
          await transaction.query('select pg_sleep(60)')
        }),
      { signal: stop.signal },
    )
    const aborted = errorOf(work)
    await expectSessions(tenant.database, `state = 'active' and query like '%pg_sleep%'`)
    stop.abort()
    expect(await aborted).toMatchObject({ code: 'aborted' })
    expect(await narrow.with('acme', (manager) => countOf(manager, name))).toBe(0)
  })
})

it('leaves no connection open once Tenantry is closed', async () => {
  const other = await openTestTenantry(models)
  const { tenant } = await other.onboard('acme')
  await other.with('acme', (manager) => manager.count(postSchema))
  expect(await sessionsIn(tenant.database)).not.toEqual([])
  await other.close()
  await expectSessions(tenant.database, 'true', 0)
})
