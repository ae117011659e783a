import { prisma } from 'tenantry/prisma'
import { describe, expect, it } from 'vitest'
import { Prisma, PrismaClient } from '../../fixtures/prisma/client/client.ts'
import { openSession } from '../../start-up/support.ts'
import { errorOf, uniqueName } from '../../support/server.ts'
import { expectSessions, sessionsIn } from '../../support/sessions.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { fixture, prismaOf } from './folders.ts'

const tenantry = await openTestTenantry(prismaOf(fixture))
const { tenant: acme } = await tenantry.onboard('acme')
await tenantry.onboard('globex')

const newName = () => uniqueName('user')

describe("a tenant's handle", () => {
  it('reads relations and the types of PostgreSQL, of its own tenant alone', async () => {
    const name = newName()
    await tenantry.with('acme', (client) =>
      client.user.create({
        data: {
          name,
          tags: ['first', 'a,b'],
          posts: { create: [{ title: 'Notes', price: '12.50', options: { pinned: true } }] },
        },
      }),
    )
    const read = (id: string) =>
      tenantry.with(id, (client) => client.user.findMany({ where: { name }, include: { posts: true } }))
    const [user] = await read('acme')
    expect(user).toMatchObject({ name, role: 'MEMBER', tags: ['first', 'a,b'], posts: [{ title: 'Notes' }] })
    expect(user?.createdAt).toBeInstanceOf(Date)
    expect(user?.posts[0]?.price?.toString()).toBe('12.5')
    expect(user?.posts[0]?.options).toEqual({ pinned: true })
    expect(await read('globex')).toEqual([])
  })

  it('is of its own tenant where Prisma puts several reads into one statement', async () => {
    const names = Array.from({ length: 50 }, newName)
    const tenants = ['acme', 'globex']
    for (const id of tenants) {
      const data = names.map((name) => ({ name, tags: [id] }))
      await tenantry.with(id, (client) => client.user.createMany({ data }))
    }
    const signal = new AbortController().signal
    const reads = names.flatMap((name) =>
      tenants.flatMap((id) =>
        [{}, { signal }].map(async (options) => {
          const user = await tenantry.with(id, (client) => client.user.findUnique({ where: { name } }), options)
          return user?.tags[0] === id
        }),
      ),
    )
    expect((await Promise.all(reads)).filter((isOwn) => !isOwn)).toEqual([])
  })

  it("throws Prisma's own errors", async () => {
    const name = newName()
    const failures = await tenantry.with('acme', async (client) => {
      await client.user.create({ data: { name } })
      return [
        await errorOf(client.user.create({ data: { name } })),
        await errorOf(client.post.create({ data: { title: '', authorId: -1 } })),
        await errorOf(client.user.findUniqueOrThrow({ where: { name: newName() } })),
        await errorOf(client.$queryRaw`select 1 / 0`),
      ]
    })
    expect(
      failures.map((error) => (error instanceof Prisma.PrismaClientKnownRequestError ? error.code : error)),
    ).toEqual(['P2002', 'P2003', 'P2025', 'P2010'])
  })

  it('may be an extended client', async () => {
    const extended = await openTestTenantry(
      prisma({
        migrations: fixture,
        client: (adapter) =>
          new PrismaClient({ adapter }).$extends({
            result: { user: { shout: { needs: { name: true }, compute: ({ name }) => name.toUpperCase() } } },
          }),
      }),
    )
    await extended.onboard('acme')
    const signal = new AbortController().signal
    const user = await extended.with('acme', (client) => client.user.create({ data: { name: 'ada' } }), { signal })
    expect(user.shout).toBe('ADA')
  })
})

describe('a transaction', () => {
  it('is committed, and its nested one rolled back by itself', async () => {
    const [outer, inner] = [newName(), newName()]
    await tenantry.with('acme', (client) =>
      client.$transaction(async (tx) => {
        await tx.user.create({ data: { name: outer } })
        await errorOf(
          tx.$transaction(async (nested) => {
            await nested.user.create({ data: { name: inner } })
            throw new Error('of the work')
          }),
        )
      }),
    )
    const where = { name: { in: [outer, inner] } }
    const found = await tenantry.with('acme', (client) => client.user.findMany({ where }))
    expect(found.map(({ name }) => name)).toEqual([outer])
  })

  it('may be a list of queries, of which all or none take effect', async () => {
    const name = newName()
    await tenantry.with('acme', async (client) => {
      const twice = client.$transaction([
        client.user.create({ data: { name } }),
        client.user.create({ data: { name } }),
      ])
      expect(await errorOf(twice)).toMatchObject({ code: 'P2002' })
      expect(await client.user.count({ where: { name } })).toBe(0)
    })
  })

  it('is rolled back by Prisma where it outlasts its limit, and gives its connection back', async () => {
    const narrow = await openTestTenantry(prismaOf(fixture), { postgres: { maxConnections: 1 } })
    await narrow.onboard('acme')
    const name = newName()
    const late = narrow.with('acme', (client) =>
      client.$transaction(
        async (tx) => {
          await tx.user.create({ data: { name } })
          await tx.$queryRaw`select pg_sleep(0.5)::text`
          return tx.user.count()
        },
        { timeout: 100 },
      ),
    )
    expect(await errorOf(late)).toMatchObject({ code: 'P2028' })
    expect(await narrow.with('acme', (client) => client.user.count({ where: { name } }))).toBe(0)
  })

  it('that outlives its unit of work is rolled back at its limit', async () => {
    const narrow = await openTestTenantry(prismaOf(fixture), { postgres: { maxConnections: 1 } })
    await narrow.onboard('acme')
    const name = newName()
    const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const [left] = await narrow.with('acme', async (client) => {
      const transaction = client.$transaction(
        async (tx) => {
          await tx.user.create({ data: { name } })
          begun.resolve()
          await over.promise
        },
        { timeout: 100 },
      )
      await begun.promise
      return [errorOf(transaction)]
    })
    expect(await narrow.with('acme', (client) => client.user.count({ where: { name } }))).toBe(0)
    over.resolve()
    expect(await left).toMatchObject({ code: 'P2028' })
  })

  it('that an abort of the signal interrupts is rolled back, and gives its connection back', async () => {
    const narrow = await openTestTenantry(prismaOf(fixture), { postgres: { maxConnections: 1 } })
    const { tenant } = await narrow.onboard('acme')
    const name = newName()
    const stop = new AbortController()
    const work = narrow.with(
      'acme',
      (client) =>
        client.$transaction(async (tx) => {
          await tx.user.create({ data: { name } })
          await tx.$queryRaw`select pg_sleep(60)::text`
        }),
      { signal: stop.signal },
    )
    const aborted = errorOf(work)
    await expectSessions(tenant.database, `state = 'active' and query like '%pg_sleep%'`)
    stop.abort()
    expect(await aborted).toMatchObject({ code: 'aborted' })
    expect(await narrow.with('acme', (client) => client.user.count({ where: { name } }))).toBe(0)
  })
})

describe('an aborted signal', () => {
  it("ends its own unit's queries, and no statement that has reads of another unit", async () => {
    const name = newName()
    await tenantry.with('acme', (client) => client.user.create({ data: { name } }))
    const lock = await openSession(acme.database, 'begin', 'lock table "User"')
    const [stop, other] = [new AbortController(), new AbortController()]
    const read = ({ signal }: AbortController) =>
      tenantry.with('acme', (client) => client.user.findUnique({ where: { name }, select: { name: true } }), { signal })
    const reads = Promise.all([read(stop), read(other)])
    const waiting = `wait_event_type = 'Lock'`
    await expectSessions(acme.database, waiting, 1)
    const counting = errorOf(tenantry.with('acme', (client) => client.user.count(), { signal: stop.signal }))
    await expectSessions(acme.database, waiting, 2)
    stop.abort()
    expect(await counting).toMatchObject({ code: 'aborted' })
    await lock.end()
    expect(await reads).toEqual([{ name }, { name }])
  })
})

describe('clients', () => {
  it('are kept for the tenants used last, and made again for others', async () => {
    const made: string[] = []
    const few = await openTestTenantry(
      prisma({
        migrations: fixture,
        client: (adapter) => {
          made.push('client')
          return new PrismaClient({ adapter })
        },
        keptClients: 1,
      }),
    )
    for (const id of ['a', 'b']) await few.onboard(id)
    const count = (id: string) => few.with(id, (client) => client.user.count())
    for (const id of ['a', 'a', 'b', 'b', 'a']) expect(await count(id)).toBe(0)
    expect(made).toHaveLength(3)
    // A unit of work keeps its client while others replace it.
    const all = await Promise.all(['a', 'b', 'a', 'b'].map((id) => few.with(id, (client) => client.user.count())))
    expect(all).toEqual([0, 0, 0, 0])
  })

  it('are refused where the function returns something else', async () => {
    const none = await openTestTenantry(prisma({ migrations: fixture, client: () => ({}) as unknown as PrismaClient }))
    await none.onboard('acme')
    expect(await errorOf(none.with('acme', () => 1))).toMatchObject({
      code: 'models-invalid',
      hint: expect.stringContaining('new PrismaClient({ adapter })'),
    })
  })

  it('leave no connection open once Tenantry is closed', async () => {
    const other = await openTestTenantry(prismaOf(fixture))
    const { tenant } = await other.onboard('acme')
    await other.with('acme', (client) => client.user.count())
    expect(await sessionsIn(tenant.database)).not.toEqual([])
    await other.close()
    await expectSessions(tenant.database, 'true', 0)
  })
})
