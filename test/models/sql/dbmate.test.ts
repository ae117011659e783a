import { checkDatabase, ensureTables } from 'tenantry'
import { kysely } from 'tenantry/kysely'
import { sqlFiles } from 'tenantry/sql'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { addFiles, type Files, folderWith } from './folders.ts'
import { dbmate } from './run-dbmate.ts'

const files = {
  '20260101120000_person.sql': `-- the people
-- migrate:up
create type mood as enum ('calm', 'it''s');
create table person (id serial primary key, name text not null, mood mood default 'it''s');
insert into person (name) values ('Ada; Lovelace');

-- migrate:down
drop table person;
drop type mood;
`,
  '20260102120000_touch.sql': `-- migrate:up
create function touch() returns int language plpgsql as $$
begin
  perform 1; return 2;
end $$;

-- migrate:down
drop function touch();
`,
  '20260103120000_index.sql': `-- migrate:up transaction:false
create index concurrently person_name on person (name); -- concurrently

-- migrate:down transaction:false
drop index concurrently person_name;
`,
  'README.sql': 'not a migration',
}
const later = {
  '20260104120000_note.sql': `-- migrate:up\ncreate table note (id int primary key);\n-- migrate:down\ndrop table note;\n`,
}

const source = (folder: string) => sqlFiles(folder, { layout: 'dbmate' })
const history = (database: string) => queryIn(database, 'select * from schema_migrations order by version')

describe('dbmate', () => {
  it('has nothing to do after Tenantry, and its later files are accepted', async () => {
    const folder = await folderWith(files)
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(folder))
    expect(await dbmate(name, folder)).toEqual([])
    await addFiles(folder, later)
    expect(await dbmate(name, folder)).toEqual(['20260104120000_note.sql'])
    expect((await ensureTables(url, source(folder))).created).toEqual([])
    expect(await checkDatabase(url, source(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('leaves a database that is taken over as it is, and continued', async () => {
    const folder = await folderWith(files)
    const { url, name } = await existingDatabase()
    expect(await dbmate(name, folder)).toHaveLength(3)
    const written = await history(name)
    expect((await ensureTables(url, source(folder))).created).toEqual([])
    expect(await checkDatabase(url, source(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await history(name)).toEqual(written)
    expect(await queryIn(name, 'select name from person')).toEqual([{ name: 'Ada; Lovelace' }])
    await addFiles(folder, later)
    expect((await ensureTables(url, source(folder))).created).toEqual([{ kind: 'table', name: 'note' }])
    expect(await dbmate(name, folder)).toEqual([])
  })

  it('makes what Tenantry makes, and its database is adopted', async () => {
    const folder = await folderWith(files)
    const { name } = await existingDatabase()
    await dbmate(name, folder)
    const tenantry = await openTestTenantry({ schema: source(folder), handles: kysely<{ person: { name: string } }>() })
    await tenantry.onboard('made')
    await tenantry.tenants.adopt('adopted', { database: name })
    for (const id of ['made', 'adopted']) {
      expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
      await tenantry.with(id, async (db) => {
        expect(await db.selectFrom('person').select('name').execute()).toEqual([{ name: 'Ada; Lovelace' }])
        const forging = db.deleteFrom('schema_migrations' as never).execute()
        expect(await errorOf(forging)).toMatchObject({ code: '42501' })
      })
      const tenant = await tenantry.tenants.get(id)
      expect(await dbmate(tenant!.database, folder)).toEqual([])
    }
  })

  it('runs a file that has a transaction of its own', async () => {
    const text = `-- migrate:up transaction:false\nbegin;\ncreate table own (id int);\ncommit;\n-- migrate:down\n`
    const folder = await folderWith({ ...files, '20260105120000_own.sql': text })
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(await folderWith(files)))
    expect((await ensureTables(url, source(folder))).created).toEqual([{ kind: 'table', name: 'own' }])
    expect(await dbmate(name, folder)).toEqual([])
  })

  it('may keep its history in another table', async () => {
    const folder = await folderWith(files)
    const { url, name } = await existingDatabase()
    const place = { layout: 'dbmate', historySchema: 'ops', historyTable: 'applied' } as const
    await ensureTables(url, sqlFiles(folder, place))
    expect(await queryIn(name, 'select version from ops.applied')).toHaveLength(3)
    expect((await ensureTables(url, sqlFiles(folder, place))).created).toEqual([])
  })
})

const both = '-- migrate:up\n-- migrate:down\n'

describe('a folder', () => {
  it.each<[string, Files, string]>([
    ['has no up', { '1_a.sql': '-- migrate:down\n' }, '1_a.sql, line 1: dbmate needs'],
    ['has no down', { '1_a.sql': '-- migrate:up\nselect 1' }, '1_a.sql, line 2: dbmate needs'],
    ['has two ups', { '1_a.sql': `${both}${both}` }, '1_a.sql, line 3: only one'],
    [
      'has them the other way round',
      { '1_a.sql': '-- migrate:down\n-- migrate:up' },
      'line 1: "-- migrate:down" precedes',
    ],
    ['has SQL before them', { '1_a.sql': `\nselect 1;\n${both}` }, '1_a.sql, line 2: dbmate allows no'],
    ['has a version twice', { '1_a.sql': both, '1_b.sql': both }, '1_b.sql has the same number'],
  ])('is refused where it %s', async (_, made, message) => {
    const error = await errorOf(source(await folderWith(made)).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})

describe('a database', () => {
  it.each<[string, Files, string]>([
    ['that has a migration which the folder lacks', { '1_a.sql': both, '3_c.sql': both }, 'has 2, which the folder'],
    [
      'that a file comes too late for',
      { '1_a.sql': both, '11_l.sql': both, '2_b.sql': both },
      '11_l.sql comes before 1_a',
    ],
  ])('%s is refused', async (_, made, message) => {
    const { url } = await existingDatabase()
    await ensureTables(url, source(await folderWith({ '1_a.sql': both, '2_b.sql': both })))
    const error = await errorOf(ensureTables(url, source(await folderWith(made))))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
  })

  it('of a newer process is left as it is by an older one', async () => {
    const { url } = await existingDatabase()
    await ensureTables(url, source(await folderWith({ ...files, ...later })))
    expect((await ensureTables(url, source(await folderWith(files)))).created).toEqual([])
  })

  it.each<[string, string, RegExp]>([
    [
      'reads',
      'create table b (id int);\ninsert into b\n  values (1 / 0);',
      /2_b\.sql, line 5: [^]*division[^]*: insert into b/,
    ],
    [
      'names',
      'create table b (id int);\n\nselect *\n  from nowhere;',
      /2_b\.sql, line 7: [^]*"nowhere"[^]*: from nowhere/,
    ],
    ['parses', "select 'é𝒳';\nselect 1 from from b;", /2_b\.sql, line 5: [^]*syntax error/],
    ['ends the transaction for', 'commit;', /2_b\.sql, line 4: a migration cannot begin, end or divide/],
    ['vacuums', 'vacuum', /2_b\.sql, line 4: VACUUM|2_b\.sql, line 4: [^]*transaction block/],
  ])('is refused with file and line where a statement %s what it cannot', async (_, text, message) => {
    const { url } = await existingDatabase()
    const first = { '1_a.sql': both }
    await ensureTables(url, source(await folderWith(first)))
    const folder = await folderWith({ ...first, '2_b.sql': `-- a\n\n-- migrate:up\n${text}\n-- migrate:down\n` })
    const tenantry = await openTestTenantry({ schema: source(folder), handles: kysely<object>() })
    expect(await errorOf(tenantry.onboard('a'))).toMatchObject({ message: expect.stringMatching(message) })
  })
})
