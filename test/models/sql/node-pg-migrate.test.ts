import { checkDatabase, ensureTables } from 'tenantry'
import { kysely } from 'tenantry/kysely'
import { sqlFiles } from 'tenantry/sql'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { addFiles, type Files, folderWith } from './folders.ts'
import { nodePgMigrate } from './run-node-pg-migrate.ts'

const files = {
  // Dates and milliseconds are sorted by time.
  '20260101120000000_person.sql': `-- Up Migration
create table person (id serial primary key, name text not null);
insert into person (name) values ('Ada; it''s');

-- Down Migration
drop table person;
`,
  '1767355200000_touch.sql': `-- comment
--- UP   migration
create function touch() returns int language plpgsql as $$ begin perform 1; return 2; end $$;
`,
  "20260103120000000_it's.sql": 'create index person_name on person (name);',
}
const later = { '20260104120000000_note.sql': 'create table note (id int primary key);' }

const source = (folder: string) => sqlFiles(folder, { layout: 'node-pg-migrate' })
const history = (database: string) => queryIn(database, 'select id, name from pgmigrations order by id')

// It cannot record a name with a quote.
const { "20260103120000000_it's.sql": quoted, ...plain } = files
const folderOfFiles = () => folderWith({ ...plain, '20260103120000000_index.sql': quoted })

describe('node-pg-migrate', () => {
  it('has nothing to do after Tenantry, and its later files are accepted', async () => {
    const folder = await folderOfFiles()
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(folder))
    expect(await nodePgMigrate(name, folder)).toEqual([])
    await addFiles(folder, later)
    expect(await nodePgMigrate(name, folder)).toEqual(['20260104120000000_note'])
    expect((await ensureTables(url, source(folder))).created).toEqual([])
    expect(await checkDatabase(url, source(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('leaves a database that is taken over as it is, and continued', async () => {
    const folder = await folderOfFiles()
    const { url, name } = await existingDatabase()
    expect(await nodePgMigrate(name, folder)).toHaveLength(3)
    const written = await history(name)
    expect((await ensureTables(url, source(folder))).created).toEqual([])
    expect(await checkDatabase(url, source(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await history(name)).toEqual(written)
    await addFiles(folder, later)
    expect((await ensureTables(url, source(folder))).created).toEqual([{ kind: 'table', name: 'note' }])
    expect(await nodePgMigrate(name, folder)).toEqual([])
  })

  it('makes what Tenantry makes, row by row, and its database is adopted', async () => {
    const folder = await folderOfFiles()
    const { name } = await existingDatabase()
    await nodePgMigrate(name, folder)
    const written = await history(name)
    const tenantry = await openTestTenantry({ schema: source(folder), handles: kysely<{ person: { name: string } }>() })
    await tenantry.onboard('made')
    await tenantry.tenants.adopt('adopted', { database: name })
    for (const id of ['made', 'adopted']) {
      expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
      const tenant = await tenantry.tenants.get(id)
      expect(await history(tenant!.database)).toEqual(written)
      const forging = tenantry.with(id, (db) => db.deleteFrom('pgmigrations' as never).execute())
      expect(await errorOf(forging)).toMatchObject({ code: '42501' })
      expect(await nodePgMigrate(tenant!.database, folder)).toEqual([])
    }
  })

  it('may have names with quotes', async () => {
    const { url } = await existingDatabase()
    const folder = await folderWith(files)
    await ensureTables(url, source(folder))
    expect((await ensureTables(url, source(folder))).created).toEqual([])
  })
})

describe('a folder', () => {
  it.each<[string, Files, string]>([
    ['has code', { '1_a.js': '' }, '1_a.js, line 1: it is no SQL'],
    ['has files that go down', { '1_a.down.sql': '' }, 'would run it as a migration'],
    ['has no number', { 'a.sql': '' }, 'a.sql, line 1: node-pg-migrate needs a number'],
    ['goes down only', { '1_a.sql': '\n-- Down Migration\ndrop table a' }, '1_a.sql, line 1: "-- Down'],
  ])('is refused where it %s', async (_, made, message) => {
    const error = await errorOf(source(await folderWith(made)).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})

it('refuses a file that comes too late, as node-pg-migrate does', async () => {
  const { url, name } = await existingDatabase()
  await ensureTables(url, source(await folderWith({ '1_a.sql': '', '3_c.sql': '' })))
  const folder = await folderWith({ '1_a.sql': '', '2_b.sql': '', '3_c.sql': '' })
  expect(await errorOf(nodePgMigrate(name, folder))).toMatchObject({ message: expect.stringContaining('2_b') })
  const message = expect.stringContaining('2_b.sql comes before 3_c.sql')
  expect(await errorOf(ensureTables(url, source(folder)))).toMatchObject({ code: 'schema-conflict', message })
})
