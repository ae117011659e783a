import { sql } from 'drizzle-orm'
import { sql as kyselySql } from 'kysely'
import { drizzle } from 'tenantry/drizzle'
import { kysely } from 'tenantry/kysely'
import { describe, expect, it } from 'vitest'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import * as schema from './schema.ts'
import { invoices, posts, users } from './schema.ts'

const models = drizzle({ schema })
const tenantry = await openTestTenantry(models)
await tenantry.onboard('acme')
await tenantry.onboard('globex')

describe("a tenant's handle", () => {
  it('reads relations, and rows of its own tenant alone', async () => {
    await tenantry.with('acme', async (db) => {
      const [ada] = await db
        .insert(users)
        .values({ name: 'Ada', tags: ['first', 'a,b'] })
        .returning()
      await db.insert(posts).values({ authorId: ada!.id, title: 'Notes' })
    })
    const read = (id: string) =>
      tenantry.with(id, (db) => db.query.users.findMany({ with: { posts: { columns: { title: true } } } }))
    expect(await read('acme')).toMatchObject([
      { name: 'Ada', role: 'member', initial: 'A', tags: ['first', 'a,b'], posts: [{ title: 'Notes' }] },
    ])
    expect(await read('globex')).toEqual([])
    expect((await read('acme'))[0]?.createdAt).toBeInstanceOf(Date)
  })

  it('commits transactions, and rolls back nested ones by themselves', async () => {
    await tenantry.with('globex', (db) =>
      db.transaction(async (tx) => {
        await tx.insert(invoices).values({ number: 1, status: ['open'] })
        await errorOf(
          tx.transaction(async (inner) => {
            await inner.insert(invoices).values({ number: 2 })
            inner.rollback()
          }),
        )
      }),
    )
    expect(await tenantry.with('globex', (db) => db.select().from(invoices))).toEqual([
      { number: 1, userId: null, status: ['open'] },
    ])
  })

  it('wraps errors as Drizzle does, with that of the driver as the cause', async () => {
    await tenantry.with('acme', async (db) => {
      const twice = db.insert(users).values([{ name: 'Bob' }, { name: 'Bob' }])
      expect(await errorOf(twice)).toMatchObject({ cause: { code: '23505', constraint: 'users_name_unique' } })
      expect(await db.$count(users)).toBe(1)
    })
  })

  it('prepares statements', async () => {
    const read = (id: string) =>
      tenantry.with(id, (db) =>
        db.query.users
          .findFirst({ where: (user, { eq }) => eq(user.name, sql.placeholder('name')) })
          .prepare('by_name')
          .execute({ name: 'Ada' }),
      )
    const both = await Promise.all(['acme', 'globex', 'acme', 'globex'].map(read))
    expect(both.map((user) => user?.name)).toEqual(['Ada', undefined, 'Ada', undefined])
  })
})

it("another library's handles work on the same tables, in the same process", async () => {
  const other = await openTestTenantry({ schema: models.schema, handles: kysely<object>() })
  await other.onboard('acme')
  await other.with('acme', (db) => kyselySql`insert into users (name) values ('Kay')`.execute(db))
  await tenantry.with('acme', async (db) => expect(await db.$count(users)).toBe(1))
  const { rows } = await other.with('acme', (db) => kyselySql`select name from users`.execute(db))
  expect(rows).toEqual([{ name: 'Kay' }])
})
