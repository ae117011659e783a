import { assert, asyncProperty, nat, subarray } from 'fast-check'
import { checkDatabase, ensureTables, type SchemaSource } from 'tenantry'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { existingDatabase, queryIn } from '../start-up/support.ts'
import { schemaOf } from '../support/statements.ts'
import { serverUrl, sql, uniqueName } from '../support/server.ts'
import { type Feature, features } from './features.ts'

const statementsOf = (chosen: readonly Feature[]) => chosen.flatMap(({ statements }) => statements)

/** Objects of the same names as those of the features, which are nobody's business. */
const decoys = [
  'create schema decoy',
  'create table decoy.types (a int)',
  'create table decoy.keyed (a int constraint keyed_pkey primary key deferrable, c int constraint keyed_c unique)',
  `create type decoy.mood as enum ('none')`,
  'create view decoy.view_of as select 1 as a',
]

async function expectMatch(url: string, models: SchemaSource) {
  const found = await checkDatabase(url, models)
  expect(found).toMatchObject({ outcome: 'matches', missing: [], differing: [], extra: [] })
}

describe.each(features)('$name', (feature) => {
  it('matches once made, has nothing to do twice, and shows every change by its name', async () => {
    const { name, url } = await existingDatabase()
    const models = () => schemaOf(...statementsOf([feature]))
    await ensureTables(url, models())
    expect(await ensureTables(url, models())).toMatchObject({ created: [], differing: [] })
    await expectMatch(url, models())
    // Neither what was learned from the database itself, but what is built beside it.
    await queryIn(name, 'drop schema tenantry_structure', ...decoys)
    const kept = models()
    await expectMatch(url, kept)
    for (const { change, undo, names } of feature.changes) {
      await queryIn(name, change)
      const found = await checkDatabase(url, kept)
      expect({ change, outcome: found.outcome, named: namesIn(found) }).toEqual({
        change,
        outcome: 'differs',
        named: expect.arrayContaining([names]),
      })
      await queryIn(name, undo)
      await expectMatch(url, kept)
    }
  })
})

/** Settings of a role or a session, none of which may change an answer. */
const settings: readonly (readonly [name: string, value: string])[] = [
  ['TimeZone', 'Asia/Kathmandu'],
  ['DateStyle', 'German'],
  ['IntervalStyle', 'iso_8601'],
  ['quote_all_identifiers', 'on'],
  ['search_path', 'decoy'],
  ['extra_float_digits', '-5'],
  ['bytea_output', 'escape'],
  ['lc_monetary', 'C'],
  ['default_transaction_isolation', 'serializable'],
  ['default_transaction_deferrable', 'on'],
  ['standard_conforming_strings', 'off'],
  ['backslash_quote', 'off'],
  ['array_nulls', 'off'],
  ['transform_null_equals', 'on'],
  ['xmlbinary', 'hex'],
  ['xmloption', 'document'],
  ['default_text_search_config', 'simple'],
  ['check_function_bodies', 'off'],
  ['enable_hashjoin', 'off'],
  ['jit_above_cost', '0'],
  ['client_min_messages', 'debug5'],
]

it('any features together match once made, show a change, and match again without it', async () => {
  const choice = subarray([...features], { minLength: 1 })
  await assert(
    asyncProperty(choice, nat(), subarray([...settings]), async (chosen, at, set) => {
      const { name, url } = await existingDatabase()
      const models = () => schemaOf(...statementsOf(chosen))
      await ensureTables(url, models())
      await queryIn(name, 'drop schema tenantry_structure', ...decoys)
      for (const [setting, value] of set) await queryIn(name, settingOf('database', name, setting, value))
      await expectMatch(url, models())
      expect(await ensureTables(url, models())).toMatchObject({ created: [], differing: [] })
      const changes = chosen.flatMap((feature) => feature.changes)
      const { change, undo, names } = changes[at % changes.length]!
      await queryIn(name, 'set search_path = public', change)
      expect(namesIn(await checkDatabase(url, models()))).toContain(names)
      await queryIn(name, 'set search_path = public', undo)
      await expectMatch(url, models())
    }),
    { numRuns: 5, endOnFailure: true },
  )
})

describe('the answer does not depend on the setting of the role, or of the session,', () => {
  const role = uniqueName('r')
  const database = uniqueName('s')
  const own = serverUrl({ database, user: role, password: 'of the role' })

  beforeAll(async () => {
    await sql(`create role ${role} login password 'of the role' superuser`)
    await sql(`create database ${database} owner ${role}`)
    await ensureTables(own, schemaOf(...statementsOf(features)))
    await queryIn(database, 'drop schema tenantry_structure', ...decoys)
  })
  afterAll(async () => {
    await sql(`drop database ${database} with (force)`)
    await sql(`drop role ${role}`)
  })

  it.each(settings)('%s = %s', async (setting, value) => {
    const models = () => schemaOf(...statementsOf(features))
    await expectMatch(`${own}?options=-c%20${setting}%3D${encodeURIComponent(value)}`, models())
    await sql(settingOf('role', role, setting, value))
    try {
      await expectMatch(own, models())
    } finally {
      await sql(`alter role ${role} reset ${setting}`)
    }
  })
})

function settingOf(kind: 'database' | 'role', name: string, setting: string, value: string): string {
  return `alter ${kind} ${JSON.stringify(name)} set ${setting} = '${value}'`
}

it('a whole object that is missing is made again, and nothing else is touched', async () => {
  const { name, url } = await existingDatabase()
  const models = schemaOf(...statementsOf(features))
  await ensureTables(url, models)
  for (const dropped of ['table types', 'table checked', 'view view_of', 'materialized view kept', 'table moody']) {
    await queryIn(name, `drop ${dropped}`)
    const { created, differing } = await ensureTables(url, models)
    expect(created.map((object) => object.name)).toEqual([dropped.split(' ').at(-1)])
    expect(differing).toEqual([])
    await expectMatch(url, models)
  }
})

it('a part that is missing is made again by its own statement, and nothing else is touched', async () => {
  const { name, url } = await existingDatabase()
  const models = schemaOf(
    ...statementsOf(features),
    `alter table guarded add constraint guarded_b check (b <> '')`,
    'create statistics guarded_both (dependencies) on a, b from guarded',
    'create rule silent as on delete to guarded do instead nothing',
  )
  await ensureTables(url, models)
  const parts = [
    ['guarded.guarded_b', 'alter table guarded drop constraint guarded_b'],
    ['guarded.public.guarded_both', 'drop statistics guarded_both'],
    ['guarded.silent', 'drop rule silent on guarded'],
    ['guarded.guard', 'drop policy guard on guarded'],
    ['triggered.stamp', 'drop trigger stamp on triggered'],
    ['referring.referring_key', 'alter table referring drop constraint referring_key'],
    ['indexed.indexed_partial', 'drop index indexed_partial'],
  ] as const
  for (const [part, change] of parts) {
    await queryIn(name, change)
    const { created, differing } = await ensureTables(url, models)
    expect({ change, created: created.map((object) => object.name), differing }).toEqual({
      change,
      created: [part],
      differing: [],
    })
    await expectMatch(url, models)
  }
})

it.each([
  ['create cast (mood as text) with inout', 'cast', 'public.mood as text'],
  ['create publication shared for table of_them (a) where (a > 3)', 'publication', 'shared'],
  [
    `create function on_ddl() returns event_trigger language plpgsql as 'begin end';
     create event trigger watching on ddl_command_start when tag in ('CREATE TABLE') execute function on_ddl()`,
    'event trigger',
    'watching',
  ],
  ['create foreign data wrapper abroad', 'foreign data wrapper', 'abroad'],
  [
    'create foreign data wrapper abroad; create server elsewhere foreign data wrapper abroad',
    'foreign server',
    'elsewhere',
  ],
  ['create language of_mine handler plpgsql_call_handler', 'language', 'of_mine'],
  ['create access method of_mine type table handler heap_tableam_handler', 'access method', 'of_mine'],
])('%s is seen, although it belongs to no schema', async (statements, kind, objectName) => {
  const { name, url } = await existingDatabase()
  const models = schemaOf(`create type mood as enum ('glad')`, 'create table of_them (a int primary key)')
  await ensureTables(url, models)
  await queryIn(name, ...statements.split(';'))
  await expectMatch(url, models)
  const found = await checkDatabase(url, models, { exact: true })
  expect(found).toMatchObject({ outcome: 'differs' })
  const extra = found.outcome === 'database-missing' ? [] : found.extra.map(({ object }) => object)
  expect(extra).toContainEqual({ kind, name: objectName })
})

it("a cast of another session's temporary type is not seen", async () => {
  const { url } = await existingDatabase()
  const models = schemaOf('create table of_them (a int primary key)')
  await ensureTables(url, models)
  const client = new Client({ connectionString: url })
  onTestFinished(() => client.end())
  await client.connect()
  await client.query('create type pg_temp.mine as (a int); create cast (pg_temp.mine as text) with inout')
  expect(await checkDatabase(url, models, { exact: true })).toMatchObject({ outcome: 'matches' })
})

it('objects of no schema are built beside those of the same names', async () => {
  const { name, url } = await existingDatabase()
  const role = uniqueName('r')
  onTestFinished(() => sql(`drop role ${role}`).then(() => undefined))
  const statements = [
    `create type mood as enum ('glad')`,
    'create cast (mood as text) with inout',
    'create cast (int as mood) with inout',
    'create language of_mine handler plpgsql_call_handler',
    'create access method of_mine type table handler heap_tableam_handler',
    'create foreign data wrapper abroad',
    'create server elsewhere foreign data wrapper abroad',
    'create user mapping for public server elsewhere',
    'create schema "Other"',
    'create table "Other".mine (a int primary key)',
    'create table mine (a int primary key)',
    'create publication "All of Them" for table mine, "Other".mine, tables in schema "Other"',
    `comment on publication "All of Them" is 'shared'`,
    'create publication gone',
    'drop publication gone',
    `create role ${role}`,
  ]
  await ensureTables(url, schemaOf(...statements))
  await queryIn(name, 'drop schema tenantry_structure')
  const next = schemaOf(...statements, 'create table later (a int)')
  expect(await ensureTables(url, next)).toMatchObject({ created: [{ kind: 'table', name: 'later' }], differing: [] })
  await expectMatch(url, next)
  await queryIn(name, 'drop publication "All of Them"', 'drop access method of_mine')
  const { created } = await ensureTables(url, next)
  expect(created.map((object) => object.name)).toEqual(['of_mine', 'All of Them'])
})

function namesIn(found: Awaited<ReturnType<typeof checkDatabase>>): readonly string[] {
  if (found.outcome === 'database-missing') return []
  const { missing, differing } = found
  return [...missing, ...differing.flatMap(({ differences }) => differences.map(({ object }) => object))].map(
    (object) => object.name,
  )
}
