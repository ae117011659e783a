import { defineEntity, p } from '@mikro-orm/core'
import { checkDatabase, ensureTables, type SchemaObject, type SchemaSource } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities as shop } from '../../examples/shop/models.ts'
import { snapshot } from './snapshot.ts'
import { quote } from '../support/server.ts'
import {
  as,
  existingDatabase,
  expectCausedFailure,
  newRole,
  queryIn,
  readOnly,
  sqlIn,
  tablesIn,
  UserAlone,
} from './support.ts'

const Mail = defineEntity({
  name: 'Mail',
  properties: { id: p.integer().primary(), address: p.string().columnType('citext') },
})

/** Models that run these statements. */
const scripted = (...statements: string[]): SchemaSource => ({
  defaultSchema: 'public',
  fingerprint: async () => statements.join(),
  create: (runner) => runner.script(statements),
})

const service = () => mikroOrm({ entities: [User, Address] })
const users = { kind: 'table', name: 'user_account' }
const addresses = { kind: 'table', name: 'address' }

describe('ensureTables', () => {
  it('makes all tables, and finds them there the next time', async () => {
    const { name, url } = await existingDatabase()
    expect(await ensureTables(url, service())).toEqual({ created: [users, addresses], existing: [], differing: [] })
    const made = await snapshot(name)
    expect(await ensureTables(url, service())).toEqual({ created: [], existing: [users, addresses], differing: [] })
    expect(await ensureTables(new URL(url), service())).toEqual({
      created: [],
      existing: [users, addresses],
      differing: [],
    })
    expect(await snapshot(name)).toEqual(made)
  })

  it('makes tables of which each refers to the other, enums, views, and schemas', async () => {
    const { name, url } = await existingDatabase()
    const { created, differing } = await ensureTables(url, mikroOrm({ entities: shop }))
    expect(differing).toEqual([])
    expect(created).toEqual(
      expect.arrayContaining([
        { kind: 'schema', name: 'warehouse' },
        { kind: 'enum', name: 'order_state' },
        { kind: 'table', name: 'product' },
        { kind: 'table', name: 'picture' },
        { kind: 'table', name: 'warehouse.stock' },
        { kind: 'view', name: 'sales' },
      ]),
    )
    expect(await foreignKeys(name)).toEqual(
      expect.arrayContaining(['picture -> product', 'product -> picture', 'category -> category']),
    )
    expect(await checkDatabase(url, mikroOrm({ entities: shop }))).toMatchObject({ outcome: 'matches' })
  })

  it('makes the extensions that the models need, and finds them there the next time', async () => {
    const { name, url } = await existingDatabase()
    const models = () => mikroOrm({ entities: [Mail] })
    await expectCausedFailure(ensureTables(url, models()), 'query-failed')
    const [citext, mail] = [
      { kind: 'extension', name: 'citext' },
      { kind: 'table', name: 'mail' },
    ]
    const extensions = ['citext']
    const made = await ensureTables(url, models(), { extensions })
    expect(made).toEqual({ created: [citext, mail], existing: [], differing: [] })
    expect(await ensureTables(url, models(), { extensions })).toEqual({ created: [], existing: [mail], differing: [] })
    await queryIn(name, 'alter table mail drop column address')
    await queryIn(name, 'drop extension citext')
    expect(await ensureTables(url, models(), { extensions })).toMatchObject({ created: [citext] })
  })

  it.each([
    ['a type', 'create table t (mail citext)', 'CREATE EXTENSION "citext"'],
    ['an array', 'create table t (path public.ltree[])', 'CREATE EXTENSION "ltree"'],
    ['a type of another name', 'create table t (path lquery)', 'CREATE EXTENSION "ltree"'],
    ['a function', 'create table t (id uuid default uuid_generate_v4())', 'CREATE EXTENSION "uuid-ossp"'],
    [
      'an operator class',
      'create table t (n text); create index on t using gin (n gin_trgm_ops)',
      'EXTENSION "pg_trgm"',
    ],
    ['a default operator class', 'create table t (n int, exclude using gist (n with =))', 'EXTENSION "btree_gist"'],
    ['a type that the server does not have', 'create table t (place geometry)', 'extension postgis, which this server'],
    ['a type of no extension', 'create table t (n no_such_type)', 'If it belongs to an extension'],
  ])('names the extension that has %s', async (_, statement, hint) => {
    const { url } = await existingDatabase()
    expect(await expectCausedFailure(ensureTables(url, scripted(statement)), 'query-failed')).toMatchObject({
      hint: expect.stringContaining(hint),
    })
  })

  it('names the schema of an extension that is out of sight', async () => {
    const { name, url } = await existingDatabase()
    await queryIn(name, 'create schema elsewhere', 'create extension hstore schema elsewhere', 'create table u ()')
    const models = scripted('create table t (tags hstore)', 'create table u ()')
    const outOfSight = { hint: expect.stringContaining('hstore, which is installed in the schema elsewhere') }
    expect(await expectCausedFailure(checkDatabase(url, models), 'query-failed')).toMatchObject(outOfSight)
    expect(await expectCausedFailure(ensureTables(url, models), 'query-failed')).toMatchObject(outOfSight)
  })

  it('names the extensions that a role may not create', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    const ensure = () => ensureTables(as(role, url), mikroOrm({ entities: [Mail] }), { extensions: ['citext'] })
    await queryIn(name, `grant create on schema public to ${quote(role.user)}`)
    const error = await expectCausedFailure(ensure(), 'permission-denied')
    expect(sqlIn(error)).toBe('CREATE EXTENSION "citext";')
    await queryIn(name, sqlIn(error))
    expect(await ensure()).toMatchObject({ created: [{ kind: 'table', name: 'mail' }] })
  })

  it('sends nothing but reads where all is in place', async () => {
    const { url } = await existingDatabase()
    const models = mikroOrm({ entities: shop })
    const { created } = await ensureTables(url, models)
    const second = await ensureTables(readOnly(url), models)
    expect(second.created).toEqual([])
    expect(second.existing.map(nameOf).toSorted()).toEqual(
      created.flatMap((object) => (object.kind === 'schema' ? [] : [object.name])).toSorted(),
    )
  })

  it('makes missing objects beside existing ones', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, mikroOrm({ entities: [UserAlone] }))
    await queryIn(name, `insert into user_account (name) values ('sandy')`)
    const before = await snapshot(name)
    expect(await ensureTables(url, service())).toEqual({ created: [addresses], existing: [users], differing: [] })
    expect(await snapshot(name)).toEqual(expect.arrayContaining(before.filter((line) => !line.startsWith('relation'))))
    expect(await queryIn(name, 'select name from user_account')).toEqual([{ name: 'sandy' }])
  })

  it('adds an index to a table that lacks it', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, mikroOrm({ entities: [UserAlone] }))
    const { created, differing } = await ensureTables(url, mikroOrm({ entities: [IndexedUser] }))
    expect({ created, differing }).toEqual({
      created: [{ kind: 'index', name: 'user_account.user_account_name_index' }],
      differing: [],
    })
    const indexes = await queryIn<{ name: string }>(
      name,
      `select indexname as name from pg_indexes where schemaname = 'public'`,
    )
    expect(indexes.map(nameOf)).toContain('user_account_name_index')
    expect(await checkDatabase(url, mikroOrm({ entities: [IndexedUser] }))).toMatchObject({ outcome: 'matches' })
  })

  it('adds a foreign key to a table that lacks it', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, service())
    await queryIn(name, 'alter table address drop constraint address_user_id_foreign')
    const { created, differing } = await ensureTables(url, service())
    expect({ created, differing }).toEqual({
      created: [{ kind: 'foreign key', name: 'address.address_user_id_foreign' }],
      differing: [],
    })
    expect(await foreignKeys(name)).toEqual(['address -> user_account'])
  })

  it('makes a view that is missing, and a schema that is there already', async () => {
    const { name, url } = await existingDatabase()
    const models = mikroOrm({ entities: shop })
    await ensureTables(url, models)
    await queryIn(name, 'drop view sales', 'drop table warehouse.stock')
    const { created } = await ensureTables(url, models)
    expect(created).toEqual(
      expect.arrayContaining([
        { kind: 'table', name: 'warehouse.stock' },
        { kind: 'view', name: 'sales' },
      ]),
    )
    expect(created).toHaveLength(2)
    expect(await tablesIn(name)).toEqual(expect.arrayContaining(['public.sales', 'warehouse.stock']))
  })
})

describe('checkDatabase', () => {
  it('reports missing objects, and makes none of them', async () => {
    const { name, url } = await existingDatabase()
    const before = await snapshot(name)
    const { outcome, ...rest } = await checkDatabase(readOnly(url), service())
    expect(outcome).toBe('differs')
    expect(rest).toMatchObject({ database: name, existing: [], missing: [users, addresses], differing: [] })
    expect(await snapshot(name)).toEqual(before)
  })

  it('reports that nothing is missing', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, service())
    expect(await checkDatabase(readOnly(url), service())).toEqual({
      outcome: 'matches',
      database: name,
      existing: [users, addresses],
      missing: [],
      differing: [],
      extra: [],
      createStatements: [],
    })
  })

  it('returns the statements that make the missing objects', async () => {
    const { name, url } = await existingDatabase()
    const found = await checkDatabase(url, mikroOrm({ entities: shop }))
    await queryIn(name, ...(found.outcome === 'differs' ? found.createStatements : []))
    expect(await checkDatabase(url, mikroOrm({ entities: shop }))).toMatchObject({ outcome: 'matches' })
  })
})

const nameOf = ({ name }: Pick<SchemaObject, 'name'>) => name

const IndexedUser = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string().index(),
    fullname: p.string().nullable(),
  },
})

async function foreignKeys(database: string): Promise<string[]> {
  const rows = await queryIn<{ key: string }>(
    database,
    `select distinct conrelid::regclass || ' -> ' || confrelid::regclass as key from pg_constraint where contype = 'f' order by 1`,
  )
  return rows.map(({ key }) => key)
}
