import { MikroORM, PostgreSqlConnection } from '@mikro-orm/postgresql'
import { DatabaseSchema } from '@mikro-orm/sql'
import { checkDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { askingCatalogs } from '../../dist/models/mikro-orm/catalog-relations.js'
import { entities as shop } from '../../examples/shop/models.ts'
import { quote } from '../support/server.ts'
import { as, existingDatabase, newRole, queryIn, readOnly } from './support.ts'

const models = mikroOrm({ entities: shop })

describe('all that is in place is seen as its owner sees it, by a role', () => {
  it.each([
    ['that may do nothing but connect', []],
    ['that may use the schemas', ['grant usage on schema warehouse to ROLE']],
    [
      'that may read and write',
      [
        'grant usage on schema warehouse to ROLE',
        'grant select, insert, update, delete on all tables in schema public, warehouse to ROLE',
        'grant usage on all sequences in schema public, warehouse to ROLE',
      ],
    ],
    ['that may not even use the default schema', ['revoke all on schema public from public']],
  ])('%s', async (_, privileges) => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    const { existing } = await ensureTables(url, models)
    await queryIn(name, ...privileges.map((statement) => statement.replace('ROLE', quote(role.user))))
    const own = readOnly(as(role, url))
    expect(await ensureTables(own, models)).toEqual({ created: [], existing, differing: [] })
    expect(await checkDatabase(own, models)).toMatchObject({ outcome: 'matches' })
  })

  it('and so are differences', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    await queryIn(
      name,
      'alter table warehouse.stock alter column pieces drop default',
      'alter table product drop constraint product_price_positive',
      'drop index order_customer_id_placed_at_index',
    )
    const { outcome, missing, differing } = (await checkDatabase(url, models)) as Differs
    expect({ outcome, missing: missing.length, differing: differing.length }).toEqual({
      outcome: 'differs',
      missing: 1,
      differing: 2,
    })
    expect(await checkDatabase(as(role, url), models)).toMatchObject({ outcome, missing, differing })
  })
})

it('names of others with quotes and dots in them do no harm', async () => {
  const { name, url } = await existingDatabase()
  await ensureTables(url, models)
  await queryIn(
    name,
    ...['we"ird', 'do.t'].flatMap((schema) => [
      `create schema ${quote(schema)}`,
      `create table ${quote(schema)}.stock (id int primary key, "co""l" text check ("co""l" <> ''))`,
    ]),
  )
  expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'matches' })
})

describe('the schema that MikroORM reads of a database with all sorts of objects', () => {
  it('equals the information_schema of its owner, and every relation of its queries is known', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    await queryIn(name, ...allSorts)
    const original = await read(url, (statement) => statement)
    const replaced = await read(url, askingCatalogs)
    expect(replaced.schema).toEqual(original.schema)
    const asksInformationSchema = (statement: string) => /information_schema\.(?!_pg_)/.test(statement)
    expect(original.sent.filter(asksInformationSchema)).toHaveLength(6)
    expect(replaced.sent.filter(asksInformationSchema)).toEqual([])
  })

  it('is the same for a role that may do nothing but connect', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    await queryIn(name, ...allSorts)
    const { schema } = await read(url, askingCatalogs)
    expect((await read(as(role, url), askingCatalogs)).schema).toEqual(schema)
  })
})

describe('a statement of MikroORM', () => {
  it.each([
    [
      'that asks for a relation that is not known',
      'select 1 from information_schema.tables, information_schema.parameters',
    ],
    ['that has such a name in a string', `select 'it''s information_schema.tables', E'\\' information_schema.views'`],
    ['that has such a name in a comment', `select 1 -- it's information_schema.tables\n`],
    ['that asks the catalogs', `select 'pg_class'::regclass`],
  ])('%s stays as it is', (_, statement) => {
    expect(askingCatalogs(statement)).toBe(statement)
  })

  it('keeps the queries of its own that it begins with', async () => {
    const { name } = await existingDatabase()
    const statement = `WITH recursive t(n) as (values (1) union all select n + 1 from t where n < 2)
      select n, schema_name from t, information_schema.schemata s where s.schema_name = 'public' order by n`
    const replaced = askingCatalogs(statement)
    expect(replaced).not.toContain('information_schema.')
    expect(await queryIn(name, replaced)).toEqual(await queryIn(name, statement))
  })
})

type Differs = Extract<Awaited<ReturnType<typeof checkDatabase>>, { outcome: 'matches' | 'differs' }>

/** Reads a database by MikroORM, whose statements pass through the given function. */
async function read(url: string, change: (statement: string) => string) {
  const orm = await MikroORM.init({ clientUrl: url, entities: shop })
  const sent: string[] = []
  class Connection extends PostgreSqlConnection {
    override execute: PostgreSqlConnection['execute'] = (query, ...rest) => {
      sent.push(change(query as string))
      return super.execute(change(query as string), ...rest)
    }
  }
  const connection = new Connection(orm.config)
  const platform = orm.driver.getPlatform()
  const schema = await DatabaseSchema.create(connection, platform, orm.config)
  const present = await platform.getSchemaHelper()!.getNamespaces(connection)
  await connection.close()
  await orm.close()
  // As text, because the fields of its tables are private.
  return { schema: JSON.parse(JSON.stringify({ ...schema.toJSON(), present })) as unknown, sent }
}

/** Objects that a database may have beside tables of a shop. */
const allSorts = [
  `create domain code as varchar(7) default 'a' collate "C"`,
  'create domain inner_code as code not null',
  'create domain prices as numeric(9, 3)[]',
  'create type pair as (a int, b text)',
  `create type warehouse.mood as enum ('good', 'bad')`,
  `create table plenty (
     id bigint generated always as identity primary key, another int generated by default as identity unique,
     third serial, price numeric(10, 2) default 1.5, twice numeric generated always as (price * 2) stored,
     domain code, domains inner_code, prices prices, numbers int[], texts varchar(5)[] default '{}',
     mood warehouse.mood default 'good', moods warehouse.mood[], pair pair, pairs pair[], short char(3), bits bit(4),
     more_bits bit varying(6), at timestamptz(3) default now(), clock time(2), lasts interval day to second(1),
     words text collate "C", key uuid default gen_random_uuid(), details jsonb default '{}', gone int,
     bytes bytea, flag boolean default true, day date default current_date, span int4range, ratio real,
     constraint bounds check (price > 0 and third > 0), constraint of_codes check (domain in ('a', 'b')),
     constraint of_nothing check (1 = 1), constraint no_two_thirds exclude (third with =))`,
  'alter table plenty drop column gone',
  `comment on table plenty is 'plenty''s comment'`,
  `comment on column plenty.price is 'dear'`,
  'create index by_lower on plenty (lower(words))',
  'create index partial on plenty (third desc nulls last) include (price) where third > 3',
  'create table whole (a int, constraint all_of_it check (whole is not null))',
  'create table parted (id int, at date, primary key (id, at)) partition by range (at)',
  `create table parted_1 partition of parted for values from ('2020-01-01') to ('2021-01-01')`,
  `create table warehouse.parted_2 partition of parted for values from ('2021-01-01') to ('2022-01-01')`,
  `create function plenty_stamp_fn() returns trigger language plpgsql as $$ begin return new; end; $$`,
  `create trigger stamp before insert or update of price on plenty for each row when (new.price > 1)
     execute function plenty_stamp_fn()`,
  'create trigger other after insert or delete on warehouse.stock execute function plenty_stamp_fn()',
  'create view lowered as select lower(words) as words, id from plenty with local check option',
  'create view warehouse.joined as select p.id, s.pieces from plenty p join warehouse.stock s on true',
  'create trigger instead instead of insert on lowered for each row execute function plenty_stamp_fn()',
  'create materialized view kept as select id, words from plenty',
  'create unique index kept_id on kept (id)',
  'create materialized view warehouse.empty as select id from plenty with no data',
  'create table inheriting () inherits (plenty)',
  // Named as a check of the table that it refers to is, and refers to a column that comes before the check's own.
  'create table referring (id int primary key, a int, constraint bounds foreign key (a) references plenty (another))',
  'alter table plenty enable row level security',
  'create policy dear on plenty using (price > 0)',
  'create foreign data wrapper wrapper',
  'create server elsewhere foreign data wrapper wrapper',
  'create table typed of pair',
  'create foreign table foreigner (id int, a varchar(3)) server elsewhere',
  'create table "UPPER" ("Id" int primary key, "select" text)',
]
