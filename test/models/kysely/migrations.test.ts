import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Kysely, sql } from 'kysely'
import { checkDatabase, ensureTables } from 'tenantry'
import { kysely, kyselyMigrations } from 'tenantry/kysely'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { folderWith } from '../sql/folders.ts'
import { migrate, type Migrations, providerOf } from './migrate.ts'

const source = (migrations: Migrations) => kyselyMigrations(providerOf(migrations))

const values = {
  text: `it's a \\ "quoted" 'text', $1`,
  day: new Date('2026-01-02T03:04:05.678Z'),
  bytes: Buffer.from([0, 39, 92, 255]),
  tags: ['a', 'b "c", \\d', null],
  matrix: [
    [1, 2],
    [3, 4],
  ],
  document: { quoted: `it's \\ "`, list: [1, null] },
  big: 12345678901234567890n,
  truth: false,
  nothing: null,
}

const files: Migrations = {
  // Sorted by code units, unlike a dictionary's.
  '2026-01-01_Person': {
    up: async (db) => {
      await db.schema.createType('mood').asEnum(['calm', "it's"]).execute()
      await db.schema
        .createTable('person')
        .addColumn('id', 'serial', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('mood', sql`mood`, (column) => column.defaultTo("it's"))
        .execute()
      await db
        .insertInto('person')
        .values([{ name: 'Ada; Lovelace' }, { name: "O'Hara" }])
        .execute()
    },
    down: (db) => db.schema.dropTable('person').execute(),
  },
  '2026-01-02_index': {
    up: async (db) => {
      await sql`create index concurrently person_name on person (name)`.execute(db)
      await db.updateTable('person').set({ name: 'Ada' }).where('id', '=', 1).execute()
      await sql`select setval('person_id_seq', ${41})`.execute(db)
    },
  },
  '2026-01-02_values': {
    up: async (db) => {
      await sql`create table value (text text, day timestamptz, bytes bytea, tags text[], matrix int[], document jsonb,
                  big numeric, truth boolean, nothing int)`.execute(db)
      await db.insertInto('value').values(values).execute()
    },
  },
}
// Without `concurrently`, which the Migrator refuses in its transaction.
const own: Migrations = {
  ...files,
  '2026-01-02_index': {
    up: async (db) => {
      await db.schema.createIndex('person_name').on('person').column('name').execute()
      await db.updateTable('person').set({ name: 'Ada' }).where('id', '=', 1).execute()
      await sql`select setval('person_id_seq', ${41})`.execute(db)
    },
  },
}
const later: Migrations = {
  '2026-02-01_note': {
    up: (db) => db.schema.createTable('note').addColumn('id', 'integer').execute(),
  },
}

const history = (database: string) => queryIn(database, 'select * from kysely_migration order by "timestamp", name')

describe("Kysely's Migrator", () => {
  it('has nothing to do after Tenantry, and its later migrations are accepted', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(files))
    expect(await history(name)).toEqual(
      Object.keys(files).map((key) => ({
        name: key,
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/),
      })),
    )
    expect(await migrate(name, own)).toEqual([])
    expect(await migrate(name, { ...own, ...later })).toEqual(['2026-02-01_note'])
    const newer = source({ ...files, ...later })
    expect((await ensureTables(url, newer)).created).toEqual([])
    expect(await checkDatabase(url, newer, { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('leaves a database that is taken over as it is, and continued', async () => {
    const { url, name } = await existingDatabase()
    expect(await migrate(name, own)).toHaveLength(3)
    const written = await history(name)
    expect((await ensureTables(url, source(own))).created).toEqual([])
    expect(await checkDatabase(url, source(own), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await history(name)).toEqual(written)
    const newer = { ...own, ...later }
    expect((await ensureTables(url, source(newer))).created).toEqual([{ kind: 'table', name: 'note' }])
    expect(await migrate(name, newer)).toEqual([])
  })

  it('writes the same values', async () => {
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, source(files))
    await migrate(theirs.name, own)
    const rows = await queryIn(ours.name, 'select * from value')
    expect(rows).toEqual(await queryIn(theirs.name, 'select * from value'))
    expect(rows).toEqual([{ ...values, big: String(values.big) }])
    for (const { name } of [ours, theirs]) {
      await queryIn(name, `insert into person (name) values ('next')`)
      expect(await queryIn(name, 'select id, name from person order by id')).toEqual([
        { id: 1, name: 'Ada' },
        { id: 2, name: "O'Hara" },
        { id: 42, name: 'next' },
      ])
    }
  })

  it('makes what Tenantry makes, and its database is adopted', async () => {
    const { name } = await existingDatabase()
    await migrate(name, own)
    const handles = kysely<{ person: { name: string } }>()
    const tenantry = await openTestTenantry({ schema: source(own), handles })
    await tenantry.onboard('made')
    await tenantry.tenants.adopt('adopted', { database: name })
    for (const id of ['made', 'adopted']) {
      expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
      for (const table of ['kysely_migration', 'kysely_migration_lock']) {
        const forging = tenantry.with(id, (db) => db.deleteFrom(table as never).execute())
        expect(await errorOf(forging), `${id}: ${table}`).toMatchObject({ code: '42501' })
      }
      const tenant = await tenantry.tenants.get(id)
      expect(await migrate(tenant!.database, own)).toEqual([])
    }
  })

  it('may keep its tables elsewhere', async () => {
    const place = { migrationTableSchema: 'ops', migrationTableName: 'applied', migrationLockTableName: 'lock' }
    const { url, name } = await existingDatabase()
    await ensureTables(url, kyselyMigrations(providerOf(own), place))
    expect(await queryIn(name, 'select name from ops.applied')).toHaveLength(3)
    expect(await migrate(name, own, place)).toEqual([])
  })
})

describe('a database', () => {
  const nothing = { up: async () => undefined }

  it.each<[string, Migrations, string]>([
    ['that has a migration which is missing', { a: nothing, d: nothing }, 'has c, which the folder lacks'],
    ['that a migration comes too late for', { a: nothing, b: nothing, c: nothing }, 'b comes before c'],
  ])('%s is refused, as Kysely does', async (_, migrations, message) => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, source({ a: nothing, c: nothing }))
    const error = await errorOf(ensureTables(url, source(migrations)))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
    expect(await errorOf(migrate(name, migrations))).toMatchObject({ message: expect.stringContaining('corrupted') })
  })

  it('that is empty is refused with the migration and its statement', async () => {
    const { url } = await existingDatabase()
    const broken = { a: { up: async (db) => void (await sql`select 1 / 0`.execute(db)) } } satisfies Migrations
    const message = expect.stringMatching(/a: [^]*division[^]*statement: select 1/)
    expect(await errorOf(ensureTables(url, source({ ...own, ...broken })))).toMatchObject({ message })
  })

  it('gets all migrations that it lacks or none, and an error names the migration and its statement', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, source(own))
    const broken: Migrations = {
      '2026-03-01_broken': { up: async (db) => void (await db.insertInto('person').values({ name: null }).execute()) },
    }
    const error = await errorOf(ensureTables(url, source({ ...own, ...later, ...broken })))
    const message = expect.stringMatching(/2026-03-01_broken: [^]*not-null[^]*statement: insert into "person"/)
    expect(error).toMatchObject({ code: 'schema-conflict', message })
    expect(await queryIn(name, `select to_regclass('note') as found`)).toEqual([{ found: null }])
  })
})

describe('migrations', () => {
  it('may be those of a folder', async () => {
    const code = `import type { Kysely } from 'kysely'
      export const up = (db: Kysely<unknown>): Promise<void> => db.schema.createTable('note').addColumn('id', 'integer').execute()`
    const folder = await folderWith({ '1_note.ts': code, 'README.md': '' })
    const { url } = await existingDatabase()
    expect((await ensureTables(url, kyselyMigrations(folder))).created).toContainEqual({ kind: 'table', name: 'note' })
    expect((await ensureTables(url, kyselyMigrations(pathToFileURL(folder)))).created).toEqual([])
  })

  it.each<[string, (db: Kysely<Record<string, object>>) => Promise<unknown>, string]>([
    ['reads rows', (db) => db.selectFrom('person').selectAll().execute(), 'The migration a reads rows'],
    ['reads rows by raw SQL', async (db) => (await sql`-- x\nselect 1`.execute(db)).rows, 'The migration a reads rows'],
    ['reads rows after a comment', async (db) => (await sql`/* x */ (select 1)`.execute(db)).rows, 'a reads rows'],
    [
      'reads rows, and goes on',
      (db) =>
        db
          .selectFrom('x')
          .selectAll()
          .execute()
          .catch(() => []),
      'a reads rows',
    ],
    ['reads what it wrote', (db) => db.deleteFrom('x').returningAll().execute(), 'The migration a reads rows'],
    ['streams', async (db) => void (await db.selectFrom('x').selectAll().stream().next()), 'a reads rows'],
    ['looks at the database', (db) => db.introspection.getTables(), 'The migration a reads rows'],
    ['throws', () => Promise.reject(new Error('no such luck')), 'The migration a failed: no such luck'],
    ['is random', (db) => sql`select ${Math.random()}`.execute(db), 'The migration a sends other statements each time'],
  ])('are refused where one %s', async (_, up, message) => {
    const error = await errorOf(source({ a: { up: async (db) => void (await up(db)) } }).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })

  it('are refused where there are none', async () => {
    const codes = await Promise.all(
      [kyselyMigrations(join(tmpdir(), 'tenantry-no-such-folder')), source({})].map((of) => errorOf(of.fingerprint())),
    )
    expect(codes).toMatchObject([{ code: 'models-invalid' }, { code: 'models-invalid' }])
  })
})
