import { defineEntity, p } from '@mikro-orm/core'
import { checkDatabase, ensureDatabase, ensureTables, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities } from '../../examples/shop/models.ts'
import { disposableName, errorOf, quote, serverUrl, sql } from '../support/server.ts'

const shop = mikroOrm({ entities })

describe('the models of a shop', () => {
  const database = disposableName('shop')
  const url = serverUrl({ database })

  it('are created whole: schemas, enums, tables, indexes, foreign keys in a circle, inheritance and a view', async () => {
    await ensureDatabase(url)
    const { created, differing } = await ensureTables(url, shop)
    expect(differing).toEqual([])
    expect(created.map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual([
      'enum order_state',
      'schema warehouse',
      'table category',
      'table customer',
      'table order',
      'table order_line',
      'table payment',
      'table picture',
      'table product',
      'table product_tags',
      'table review',
      'table tag',
      'table warehouse.stock',
      'view sales',
    ])
  })

  it('match the database they made', async () => {
    await expect(checkDatabase(url, shop)).resolves.toMatchObject({ outcome: 'matches', missing: [], differing: [] })
  })

  it('have the declared types in PostgreSQL', async () => {
    const constraints = await sql<{ name: string }>(
      `select conname as name from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'`,
      [],
      database,
    )
    expect(constraints.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'product_cover_id_foreign',
        'picture_product_id_foreign',
        'product_price_positive',
        'payment_kind_check',
        'customer_email_unique',
        'category_parent_id_name_unique',
      ]),
    )
    const [home] = await sql<{ type: string }>(
      `select format_type(atttypid, atttypmod) as type from pg_attribute
       where attrelid = 'customer'::regclass and attname = 'home_country'`,
      [],
      database,
    )
    expect(home).toEqual({ type: 'character varying(2)' })
  })
})

describe('a fingerprint', () => {
  it('is the same for any order of the entities', async () => {
    const [one, other] = [mikroOrm({ entities: [User, Address] }), mikroOrm({ entities: [Address, User] })]
    expect(await one.schema.fingerprint()).toBe(await other.schema.fingerprint())
  })

  it('is another for other models', async () => {
    expect(await shop.schema.fingerprint()).not.toBe(await mikroOrm({ entities: [User, Address] }).schema.fingerprint())
  })
})

describe('inheritance with a table for each class', () => {
  const Animal = defineEntity({
    name: 'Animal',
    inheritance: 'tpt',
    properties: { id: p.integer().primary().autoincrement(), name: p.string() },
  })
  const Dog = defineEntity({ name: 'Dog', extends: Animal, properties: { breed: p.string() } })
  const database = disposableName('tpt')
  const url = serverUrl({ database })

  it('is created and found in place', async () => {
    const models = mikroOrm({ entities: [Animal, Dog] })
    await ensureDatabase(url)
    const { created } = await ensureTables(url, models)
    expect(created.map(({ name }) => name)).toEqual(['animal', 'dog'])
    await expect(checkDatabase(url, models)).resolves.toMatchObject({ outcome: 'matches' })
  })
})

describe('a materialised view', () => {
  const Person = defineEntity({ name: 'Person', properties: { id: p.integer().primary(), city: p.string() } })
  const Cities = defineEntity({
    name: 'Cities',
    view: { materialized: true },
    expression: 'select city, count(*)::int as people from person group by city',
    properties: { city: p.string().primary(), people: p.integer() },
  })
  const database = disposableName('mat')
  const url = serverUrl({ database })

  it('is created and found in place', async () => {
    const models = mikroOrm({ entities: [Person, Cities] })
    await ensureDatabase(url)
    await ensureTables(url, models)
    await expect(checkDatabase(url, models)).resolves.toMatchObject({ outcome: 'matches' })
  })
})

describe('a new schema with the name of a table', () => {
  const database = disposableName('name')
  const url = serverUrl({ database })

  it('gives no role the right to change that table', async () => {
    const Billing = defineEntity({
      name: 'Billing',
      tableName: 'billing',
      properties: { id: p.integer().primary(), note: p.text() },
    })
    const Invoice = defineEntity({
      name: 'Invoice',
      tableName: 'invoice',
      schema: 'billing',
      properties: { id: p.integer().primary() },
    })
    await ensureDatabase(url)
    await sql('create table billing (id serial primary key, note text not null, precious text)', [], database)
    await sql("insert into billing values (1, 'n', 'p')", [], database)
    const both = mikroOrm({ entities: [Billing, Invoice] })
    expect(await ensureTables(url, both)).toMatchObject({ differing: [] })
    const checked = await checkDatabase(url, both)
    expect(checked).toMatchObject({
      outcome: 'matches',
      extra: [{ object: { kind: 'column', name: 'billing.precious' } }],
    })
    expect(await sql('select * from billing', [], database)).toEqual([{ id: 1, note: 'n', precious: 'p' }])
  })
})

describe('a search_path that begins with another schema', () => {
  const database = disposableName('path')
  const url = serverUrl({ database })

  it('changes neither where tables are made nor where they are found', async () => {
    const models = mikroOrm({ entities: [User, Address] })
    await ensureDatabase(url)
    await sql('create schema elsewhere', [], database)
    await sql(`alter database ${quote(database)} set search_path = elsewhere, public`)
    expect((await ensureTables(url, models)).created).toHaveLength(2)
    expect(await ensureTables(url, models)).toMatchObject({ created: [], differing: [] })
    expect(await sql('select 1 from public.user_account', [], database)).toEqual([])
  })
})

describe('a native enum', () => {
  const withValues = (values: string[]) =>
    mikroOrm({
      entities: [
        defineEntity({
          name: 'Ticket',
          properties: { id: p.integer().primary(), state: p.enum(values).nativeEnumName('ticket_state') },
        }),
      ],
    })
  const database = disposableName('enum')
  const url = serverUrl({ database })

  it('that lacks a value differs, with the statement that adds it', async () => {
    await ensureDatabase(url)
    await ensureTables(url, withValues(['open', 'done']))
    const checked = await checkDatabase(url, withValues(['open', 'done', 'dropped']))
    expect(checked).toMatchObject({ outcome: 'differs', missing: [] })
    expect(JSON.stringify(checked)).toContain("add value 'dropped'")
  })

  it('that has a value too many differs, although nothing can be done about it', async () => {
    const checked = await checkDatabase(url, withValues(['open']))
    expect(checked).toMatchObject({
      outcome: 'differs',
      differing: [{ kind: 'enum', name: 'ticket_state', statements: [] }],
    })
  })
})

describe('an index on a condition over a column that is missing', () => {
  const database = disposableName('cond')
  const url = serverUrl({ database })
  const note = (more: object, indexes: object[] = []) =>
    mikroOrm({
      entities: [defineEntity({ name: 'Note', properties: { id: p.integer().primary(), ...more }, indexes })],
    })

  it('is reported with the column, and the other objects are made', async () => {
    const text = p.string()
    await ensureDatabase(url)
    await ensureTables(url, note({ text }))
    const wanted = note({ text, done: p.boolean() }, [
      { name: 'note_open', properties: ['text'], where: 'done = false' },
      { name: 'note_text', properties: ['text'] },
    ])
    const { created, differing } = await ensureTables(url, wanted)
    expect(created).toEqual([{ kind: 'index', name: 'note.note_text' }])
    expect(JSON.stringify(differing)).toMatch(/done[^]*note_open/)
  })
})

describe('names that PostgreSQL would cut', () => {
  const long = 'x'.repeat(64)
  it.each([
    ['table', defineEntity({ name: 'A', tableName: long, properties: { id: p.integer().primary() } })],
    ['column', defineEntity({ name: 'B', properties: { id: p.integer().primary(), note: p.string().name(long) } })],
    [
      'index',
      defineEntity({
        name: 'C',
        properties: { id: p.integer().primary(), note: p.string() },
        indexes: [{ name: long, properties: ['note'] }],
      }),
    ],
  ])('of a %s are refused before anything is touched', async (what, entity) => {
    const error = await errorOf(mikroOrm({ entities: [entity] }).schema.fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid' })
    expect((error as Error).message).toMatch(new RegExp(`${what}.*64 bytes`))
  })
})

describe('options', () => {
  it.each(['dbName', 'driver', 'entityManager', 'clientUrl'])('refuse %s, which Tenantry sets', (option) => {
    expect(() => mikroOrm({ entities: [User, Address], [option]: 'x' } as never)).toThrow(TenantryError)
  })

  it('refuse a subscriber of the service nothing', async () => {
    const flushed: string[] = []
    const models = mikroOrm({
      entities: [User, Address],
      subscribers: [{ beforeFlush: () => void flushed.push('flushed') }],
    })
    expect(await models.schema.fingerprint()).toMatch(/^[0-9a-f]{64}$/)
  })

  it('report entities that cannot be used as models-invalid, at the first use', async () => {
    const Broken = defineEntity({ name: 'Broken', properties: { name: p.string() } })
    const error = await errorOf(mikroOrm({ entities: [Broken] }).schema.fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', retryable: false })
  })
})
