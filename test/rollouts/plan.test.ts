import { describe, expect, it } from 'vitest'
import { errorOf } from '../support/server.ts'
import { databasesOf, inCatalog } from '../support/tenants.ts'
import { firstVersion, hazards, inTenant, notes, statements, versionsOf, withTag } from './support.ts'

describe('a plan', () => {
  it('leads from each older version to the desired one, and touches no tenant', async () => {
    const { first, next } = await firstVersion(['a', 'b'], notes)
    await first.tenants.suspend('b')
    const second = await next(withTag)
    await second.onboard('c')
    const third = await next(withTag, 'create table tag (id int primary key)')
    const databases = await databasesOf(third)
    const plan = await third.rollouts.plan()
    expect(plan).toMatchObject({
      to: { number: 3 },
      from: [
        { number: 1, tenants: { main: 2 }, planner: 'differences', left: [] },
        { number: 2, tenants: { main: 1 }, planner: 'differences', left: [] },
      ],
    })
    expect(statements(plan)).toEqual([
      'create table tag (id int primary key)',
      `alter table "public"."note" add column "tag" text default 'none'::text`,
      'create table tag (id int primary key)',
    ])
    expect(plan.from[0]?.steps[1]).toMatchObject({
      locks: [{ table: 'public.note', mode: 'ACCESS EXCLUSIVE' }],
      rewritten: [],
      scanned: [],
      hazards: [],
    })
    expect(await versionsOf(third)).toEqual({ a: 1, b: 1, c: 2 })
    expect(await databasesOf(third)).toEqual(databases)
    expect(await inCatalog(third, `select state from tenantry.template where state <> 'ready'`)).toEqual([])
    expect((await third.servers.reconcile()).findings).toEqual([])
  })

  it('is empty where no tenant is behind', async () => {
    const { first } = await firstVersion(['a'], notes)
    expect((await first.rollouts.plan()).from).toEqual([])
  })

  it('shows rewrites and scans as the server did them', async () => {
    const { next } = await firstVersion(['a'], 'create table item (id int primary key, size int, name varchar(20))')
    const second = await next('create table item (id int primary key, size bigint, name varchar(30), check (size > 0))')
    const [version] = (await second.rollouts.plan()).from
    const step = (part: string) => version?.steps.find(({ sql: text }) => text.includes(part))
    expect(step('"size" type')).toMatchObject({ rewritten: ['public.item'] })
    expect(step('"name" type')).toMatchObject({ rewritten: [], scanned: [] })
    expect(step('CHECK')).toMatchObject({ rewritten: [], scanned: ['public.item'] })
  })

  const before = `create table item (id int primary key, size int, name text, kind text, note text);
    create type mood as enum ('good', 'bad');
    create function one() returns int language sql as 'select 1'`
  const column = (list: string) => [`create table item (id int primary key${list})`, ...before.split(';\n').slice(1)]
  it.each<[string, string[], string[]]>([
    ['a dropped column', column(', size int, name text, kind text'), ['drop-column:item.note']],
    [
      'one that may be renamed',
      column(', size int, name text, kind text, remark text'),
      ['drop-column:item.note', 'perhaps-rename:item.note=item.remark'],
    ],
    [
      'a required column',
      column(', size int, name text, kind text, note text, due date not null'),
      ['require-column:item.due'],
    ],
    [
      'a column that must not be null',
      column(', size int not null, name text, kind text, note text'),
      ['set-not-null:item.size'],
    ],
    ['another type', column(', size bigint, name text, kind text, note text'), ['change-type:item.size']],
    [
      'a unique column',
      column(', size int, name text unique, kind text, note text'),
      ['add-unique:item.item_name_key'],
    ],
    [
      'a check',
      column(`, size int check (size > 0), name text, kind text, note text`),
      ['add-check:item.item_size_check'],
    ],
    [
      'a foreign key',
      column(', size int references item, name text, kind text, note text'),
      ['add-foreign-key:item.item_size_fkey'],
    ],
    ['a dropped table', before.split(';\n').slice(1), ['drop-table:item']],
    ['a dropped function', before.split(';\n').slice(0, 2), ['drop-object:one']],
    ['nothing of a new table', [...before.split(';\n'), 'create table other (id int not null, unique (id))'], []],
  ])('names the hazard of %s', async (_name, changed, expected) => {
    const { next } = await firstVersion(['a'], ...before.split(';\n'))
    const plan = await (await next(...changed)).rollouts.plan()
    expect({ left: plan.from[0]?.left, hazards: hazards(plan) }).toEqual({ left: [], hazards: expected })
  })

  it('names defaults that old code may rely on, and steps that change every row', async () => {
    const { next } = await firstVersion(['a'], `create table item (id int, kind text not null default 'x')`)
    const second = await next('create table item (id int, kind text not null)')
    expect(hazards(await second.rollouts.plan())).toEqual(['drop-default:item.kind'])
    const clearing = ['update item set kind = id::text', 'delete from item', 'truncate item']
    const plan = await second.rollouts.plan({ steps: [...clearing, 'delete from item where id > 1'] })
    const all = 'change-all-rows:item'
    expect(hazards(plan)).toEqual([all, all, all, 'change-rows:item'])
  })

  it('renames what it is told to', async () => {
    const { first, next } = await firstVersion(['a'], notes)
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'kept')`))
    const second = await next('create table note (id int primary key, body text not null)')
    const plan = await second.rollouts.plan({ renames: { 'note.text': 'note.body' } })
    expect(statements(plan)).toEqual(['alter table "public"."note" rename column "text" to "body"'])
    expect(hazards(plan)).toEqual(['rename:note.text'])
    for (const renames of [{ 'note.no': 'note.body' }, { 'note.text': 'body' }, { 'note.text': 'note.' }]) {
      expect(await errorOf(second.rollouts.plan({ renames }))).toMatchObject({ code: 'invalid-option' })
    }
    await second.rollouts.start(plan, { allow: hazards(plan) })
    expect(await inTenant(second, 'a', 'select body from note')).toEqual([{ body: 'kept' }])
  })

  it('says what it cannot change, and takes the statements for it', async () => {
    const { next } = await firstVersion(['a', 'b'], `create type mood as enum ('good', 'bad')`)
    const second = await next(`create type mood as enum ('good', 'worse')`)
    const plan = await second.rollouts.plan()
    expect(plan.from[0]?.left).toEqual(['enum mood differs'])
    expect(await errorOf(second.rollouts.start(plan))).toMatchObject({
      code: 'plan-refused',
      message: expect.stringContaining('enum mood differs'),
    })
    const given = await second.rollouts.plan({ steps: [`alter type mood rename value 'bad' to 'worse'`] })
    expect(given.from).toMatchObject([{ planner: 'given', left: [] }])
    expect(hazards(given)).toEqual(['drop-enum-value:mood.bad'])
    expect(await second.rollouts.start(given, { allow: hazards(given) })).toMatchObject({ outcome: 'done', changed: 2 })
  })

  it('reports a statement that fails on the copy, or that only fails in one transaction', async () => {
    const { next } = await firstVersion(['a'], `create type mood as enum ('good')`, 'create table m (mood mood)')
    const second = await next(`create type mood as enum ('good', 'bad')`, `create table m (mood mood default 'bad')`)
    const wrong = await second.rollouts.plan({ steps: ['alter table nothing add a int'] })
    expect(wrong.from[0]?.left[0]).toContain('relation "nothing" does not exist')
    // A value of an enum cannot be used before its commit.
    const used = await second.rollouts.plan()
    expect(used.from[0]?.left[0]).toContain('in one transaction: ')
  })

  it('is made by the desired version alone', async () => {
    const { first, next } = await firstVersion(['a'], notes)
    await next(withTag)
    expect(await errorOf(first.rollouts.plan())).toMatchObject({ code: 'not-desired' })
  })

  it('needs the template of the older version', async () => {
    const { first, next } = await firstVersion(['a'], notes)
    await first.templates.remove()
    const second = await next(withTag)
    expect(await errorOf(second.rollouts.plan())).toMatchObject({ code: 'version-unknown' })
  })
})
