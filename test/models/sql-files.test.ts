import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CompiledQuery } from 'kysely'
import { checkDatabase, ensureTables, type SchemaSession } from 'tenantry'
import { kysely } from 'tenantry/kysely'
import { sqlFiles } from 'tenantry/sql'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../start-up/support.ts'
import { afterwards, errorOf } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

type Files = Readonly<Record<string, string>>

async function folderOf(files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-migrations-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  await write(folder, files)
  return folder
}

async function write(folder: string, files: Files): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
}

const note = 'create table note (id int primary key, text text)'

describe('the files of a folder', () => {
  it('run in the order of their numbers, whatever their width', async () => {
    const folder = await folderOf({ '10_b.sql': 'alter table note add column b int', '9_a.sql': note })
    const { url } = await existingDatabase()
    expect((await ensureTables(url, sqlFiles(folder))).created).toContainEqual({ kind: 'table', name: 'note' })
    expect(await checkDatabase(url, sqlFiles(pathToFileURL(folder)), { exact: true })).toMatchObject({
      outcome: 'matches',
    })
  })

  it('may drop and rename what earlier ones made', async () => {
    const folder = await folderOf({
      '1.sql': `${note}; create table gone (id int); create index note_text on note (text); create view shown as select 1`,
      '2.sql': `drop table gone; alter table note rename to remark; drop index note_text; create schema other;
                alter table remark set schema other; alter view shown rename to displayed`,
      '3.sql': `alter table other.remark add constraint longer check (length(text) > 1); alter table other.remark drop constraint longer;
                create function f() returns int language sql return 1; drop function f(); create type mood as enum ('a'); drop type mood`,
    })
    const tenantry = await openTestTenantry({ schema: sqlFiles(folder), handles: kysely<object>() })
    await tenantry.onboard('a')
    expect(await tenantry.tenants.check('a')).toMatchObject({ outcome: 'matches' })
    const { url, name } = await existingDatabase()
    await ensureTables(url, sqlFiles(folder))
    expect(await checkDatabase(url, sqlFiles(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await queryIn(name, 'select * from displayed', 'table other.remark')).toBeDefined()
  })

  it('create and drop indexes without CONCURRENTLY, and nothing else is changed', async () => {
    const folder = await folderOf({ '1.sql': `${note}; create index gone on note (id)` })
    const { url, name } = await existingDatabase()
    await ensureTables(url, sqlFiles(folder))
    await write(folder, {
      '2.sql': `-- é: create index concurrently, here
        create unique index /* é */ concurrently "index concurrently" on note (text);
        CREATE INDEX CONCURRENTLY IF NOT EXISTS other
          ON note (id); drop index concurrently gone;
        insert into note values (1, 'create index concurrently x')`,
      '3.sql': 'create index\n  concurrently third on note (id, text)',
    })
    await ensureTables(url, sqlFiles(folder))
    expect(await queryIn(name, 'select text from note')).toEqual([{ text: 'create index concurrently x' }])
    const found = `select indexname as name from pg_indexes where tablename = 'note' order by 1`
    expect((await queryIn(name, found)).map((index) => index['name'])).toEqual([
      'index concurrently',
      'note_pkey',
      'other',
      'third',
    ])
    expect(await checkDatabase(url, sqlFiles(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('may create extensions, which are then no difference', async () => {
    const folder = await folderOf({ '1_a.sql': `create extension "uuid-ossp"; ${note}` })
    const { url } = await existingDatabase()
    const { created } = await ensureTables(url, sqlFiles(folder))
    expect(created).toContainEqual({ kind: 'extension', name: 'uuid-ossp' })
    expect(await checkDatabase(url, sqlFiles(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('count as the same with other line ends', async () => {
    const one = sqlFiles(await folderOf({ '1.sql': 'create table a (\n  id int\n);\n' }))
    const two = sqlFiles(await folderOf({ '1.sql': 'create table a (\r\n  id int\r\n);\r\n' }))
    expect(await one.fingerprint()).toBe(await two.fingerprint())
  })

  it.each<[string, Files | string, string]>([
    ['is missing', join(tmpdir(), 'tenantry-no-such-folder'), 'no such file or directory'],
    ['has no SQL', { 'README.md': '' }, 'has no migrations'],
    ['has files that undo others', { '1.up.sql': note, '1.down.sql': 'drop table note' }, '1.down.sql would run'],
  ])('are refused before anything is touched where the folder %s', async (_, files, message) => {
    const source = sqlFiles(typeof files === 'string' ? files : await folderOf(files))
    const { url } = await existingDatabase()
    expect(await errorOf(ensureTables(url, source))).toMatchObject({
      code: 'models-invalid',
      message: expect.stringContaining(message),
    })
  })

  it.each([
    ['ends the transaction', '\n-- done\ncommit', /2\.sql, line 4: a migration cannot begin, end or divide/],
    ['begins one', 'select 1;begin transaction', /2\.sql, line 2: a migration cannot/],
    ['divides it', '\nsavepoint a', /2\.sql, line 3: a migration cannot/],
    ['is no SQL', '\nselect from from a', /2\.sql, line 3: syntax error/],
    ['fails', '\nselect 1 / 0', /2\.sql, line 3: [^]*division by zero\nThe statement: select 1 \/ 0/],
  ])('are refused by file and line where one %s, and nothing is created', async (_, text, message) => {
    const source = sqlFiles(await folderOf({ '1.sql': note, '2.sql': `create table task (id int);\n${text}` }))
    const { url, name } = await existingDatabase()
    const refusal = { message: expect.stringMatching(message) }
    expect(await errorOf(ensureTables(url, source))).toMatchObject(refusal)
    expect(await queryIn(name, `select to_regclass('note') as found`)).toEqual([{ found: null }])
    const tenantry = await openTestTenantry({ schema: source, handles: kysely<object>() })
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject(refusal)
    await ensureTables(url, sqlFiles(await folderOf({ '1.sql': note })))
    expect(await errorOf(ensureTables(url, source))).toMatchObject(refusal)
    expect(await queryIn(name, `select to_regclass('task') as found`)).toEqual([{ found: null }])
  })

  it('may have words of transactions in functions and texts', async () => {
    const begin = `create function f() returns int language plpgsql as $$ begin return 1; end $$;
      create function g() returns int begin atomic; select 1; end; select 'commit; rollback'`
    const { url, name } = await existingDatabase()
    await ensureTables(url, sqlFiles(await folderOf({ '1.sql': begin })))
    expect(await queryIn(name, 'select f() + g() as two')).toEqual([{ two: 2 }])
  })

  it('are refused as options that cannot be meant', () => {
    expect(() => sqlFiles('')).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    expect(() => sqlFiles('x', { defaultSchema: '' })).toThrow(expect.objectContaining({ code: 'invalid-name' }))
    expect(() => sqlFiles('x', { schema: 'y' } as never)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})

describe('a database', () => {
  it('gets the files that it lacks, all or none', async () => {
    const folder = await folderOf({ '1.sql': note })
    const { url, name } = await existingDatabase()
    await ensureTables(url, sqlFiles(folder))
    await write(folder, { '2.sql': 'create table task (id int)', '3.sql': 'create table note (id int)' })
    expect(await errorOf(ensureTables(url, sqlFiles(folder)))).toMatchObject({ code: 'schema-conflict' })
    expect(await queryIn(name, `select to_regclass('task') as found`)).toEqual([{ found: null }])
    await write(folder, { '3.sql': 'create table tag (id int)' })
    const { created, existing } = await ensureTables(url, sqlFiles(folder))
    expect(created).toEqual([
      { kind: 'table', name: 'tag' },
      { kind: 'table', name: 'task' },
    ])
    expect(existing).toContainEqual({ kind: 'table', name: 'note' })
  })

  it('of a newer process is left as it is by an older one', async () => {
    const first = { '1.sql': `${note}; create table old (id int)` }
    const { url, name } = await existingDatabase()
    await ensureTables(
      url,
      sqlFiles(await folderOf({ ...first, '2.sql': 'create table task (id int); drop table old' })),
    )
    expect(await ensureTables(url, sqlFiles(await folderOf(first)))).toMatchObject({
      created: [],
      existing: expect.arrayContaining([{ kind: 'table', name: 'note' }]),
    })
    const look = `select to_regclass('task')::text as task, to_regclass('old')::text as old`
    expect(await queryIn(name, look)).toEqual([{ task: 'task', old: null }])
  })

  it('that many processes start on gets them once', async () => {
    const folder = await folderOf({ '1.sql': note })
    const { url } = await existingDatabase()
    await ensureTables(url, sqlFiles(folder))
    await write(folder, { '2.sql': 'create table task (id int)' })
    const starts = await Promise.all(Array.from({ length: 6 }, () => ensureTables(url, sqlFiles(folder))))
    expect(starts.filter(({ created }) => created.length > 0)).toHaveLength(1)
  })

  it.each<[string, Files, string]>([
    ['whose file was changed', { '1.sql': `${note};` }, '1.sql was changed'],
    ['that has one which the folder lacks', { '1.sql': note, '3.sql': 'select 1' }, '2.sql, which the folder lacks'],
    [
      'that an earlier file comes too late for',
      { '0.sql': 'select 1', '1.sql': note, '2.sql': 'select 2' },
      '0.sql comes',
    ],
  ])('%s is refused', async (_, files, message) => {
    const { url } = await existingDatabase()
    await ensureTables(url, sqlFiles(await folderOf({ '1.sql': note, '2.sql': 'select 2' })))
    const error = await errorOf(ensureTables(url, sqlFiles(await folderOf(files))))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
  })

  it('without a history is refused where it has objects', async () => {
    const { url, name } = await existingDatabase()
    await queryIn(name, note)
    const error = await errorOf(ensureTables(url, sqlFiles(await folderOf({ '1.sql': note }))))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining('no history') })
  })

  it('keeps a history that a tenant reads and does not write', async () => {
    const schema = sqlFiles(await folderOf({ '1.sql': note, "2's.sql": `create table task (text text default '\\')` }))
    const tenantry = await openTestTenantry({ schema, handles: kysely<object>() })
    await tenantry.onboard('a')
    await tenantry.with('a', async (db) => {
      const run = (text: string) => db.executeQuery(CompiledQuery.raw(text))
      const forged = run(`comment on schema tenantry_migrations is '[]'`)
      expect(await errorOf(forged)).toMatchObject({ code: '42501' })
      const session = { query: (text: string) => run(text) } as unknown as SchemaSession
      expect(await schema.pending?.(session)).toEqual([])
    })
  })
})
