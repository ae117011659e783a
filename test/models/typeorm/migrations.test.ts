import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type QueryRunner, Table, TableColumn, TableForeignKey, TableIndex } from 'typeorm'
import { checkDatabase, ensureTables } from 'tenantry'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { afterwards, errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { longHistory } from './long-history.ts'
import { migration, modelsOf, nothingPending, runMigrations } from './run-migrations.ts'

const values = {
  text: `it's a \\ "quoted" 'text', $1`,
  day: new Date('2026-01-02T03:04:05.678Z'),
  bytes: Buffer.from([0, 39, 92, 255]),
  tags: ['a', 'b "c", \\d', null],
  document: { quoted: `it's \\ "`, list: [1, null] },
  truth: false,
  nothing: null,
}

const files = [
  migration('Users1700000000000', async (runner) => {
    await runner.query(`CREATE TYPE "public"."mood" AS ENUM('calm', 'it''s')`)
    await runner.query(
      `CREATE TABLE "person" ("id" SERIAL NOT NULL, "key" uuid NOT NULL DEFAULT uuid_generate_v4(), "name" text NOT NULL,
       "mood" "public"."mood" DEFAULT 'it''s', CONSTRAINT "person_key" PRIMARY KEY ("id"))`,
    )
    await runner.query(`INSERT INTO "person" ("name") VALUES ($2), ($1)`, [`O'Hara $2`, '$1 é; Lovelace'])
  }),
  migration(
    'Index1700000000001',
    async (runner) => {
      await runner.query(`CREATE INDEX CONCURRENTLY "person_name" ON "person" ("name")`)
      await runner.query(`UPDATE person SET name = 'Ada' WHERE id = $1`, [1])
      await runner.query(`SELECT setval('person_id_seq', $1)`, [41])
    },
    false,
  ),
  migration('Values1700000000002', async (runner) => {
    await runner.query(
      `create table value (text text, day timestamptz, bytes bytea, tags text[], document jsonb, truth boolean, nothing int)`,
    )
    await runner.query('insert into value values ($1, $2, $3, $4, $5, $6, $7)', Object.values(values))
  }),
]
const later = [migration('Note1700000000003', 'create table note (id int)')]

const history = (database: string, table = 'migrations') =>
  queryIn(database, `select id, "timestamp", name from ${table} order by id`)

describe("TypeORM's own runner", () => {
  it('has nothing to do after Tenantry, and its later migrations are accepted', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, modelsOf(files))
    expect(await history(name)).toEqual([
      { id: 1, timestamp: '1700000000000', name: 'Users1700000000000' },
      { id: 2, timestamp: '1700000000001', name: 'Index1700000000001' },
      { id: 3, timestamp: '1700000000002', name: 'Values1700000000002' },
    ])
    expect(await runMigrations(name, files)).toEqual(nothingPending)
    expect(await runMigrations(name, [...files, ...later])).toEqual({
      applied: ['Note1700000000003'],
      wasPending: true,
    })
    const newer = modelsOf([...later, ...files])
    expect((await ensureTables(url, newer)).created).toEqual([])
    expect(await checkDatabase(url, newer, { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('leaves a database that is taken over as it is, and continued', async () => {
    const { url, name } = await existingDatabase()
    expect((await runMigrations(name, files)).applied).toHaveLength(3)
    const written = await history(name)
    expect((await ensureTables(url, modelsOf(files))).created).toEqual([])
    expect(await checkDatabase(url, modelsOf(files), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await history(name)).toEqual(written)
    const newer = [...files, ...later]
    expect((await ensureTables(url, modelsOf(newer))).created).toEqual([{ kind: 'table', name: 'note' }])
    expect(await runMigrations(name, newer)).toEqual(nothingPending)
  })

  it('writes the same values', async () => {
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, modelsOf(files))
    await runMigrations(theirs.name, files)
    const rows = await queryIn(ours.name, 'select * from value')
    expect(rows).toEqual(await queryIn(theirs.name, 'select * from value'))
    expect(rows).toEqual([values])
    for (const { name } of [ours, theirs]) {
      await queryIn(name, `insert into person (name) values ('next')`)
      expect(await queryIn(name, 'select id, name from person order by id')).toEqual([
        { id: 1, name: 'Ada' },
        { id: 2, name: `O'Hara $2` },
        { id: 42, name: 'next' },
      ])
    }
  })

  it('makes what Tenantry makes, and its database is adopted', async () => {
    const { name } = await existingDatabase()
    await runMigrations(name, files)
    const tenantry = await openTestTenantry(modelsOf(files))
    await tenantry.onboard('made')
    await tenantry.tenants.adopt('adopted', { database: name })
    for (const id of ['made', 'adopted']) {
      expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
      const tenant = await tenantry.tenants.get(id)
      expect(await runMigrations(tenant!.database, files)).toEqual(nothingPending)
    }
  })

  it('may keep its table elsewhere', async () => {
    const place = { schema: 'ops', migrationsTableName: 'applied' }
    const { url, name } = await existingDatabase()
    await ensureTables(url, modelsOf(files, place))
    expect(await history(name, 'ops.applied')).toHaveLength(3)
    expect(await runMigrations(name, files, place)).toEqual(nothingPending)
  })
})

/** Migrations as they are written by hand, by methods of the runner. */
const byMethods = [
  migration('Tables1700000000000', async (runner) => {
    const id = { name: 'id', type: 'int', isPrimary: true, isGenerated: true, generationStrategy: 'increment' } as const
    const mood = { name: 'mood', type: 'enum', enum: ['calm', 'loud'] }
    await runner.createTable(new Table({ name: 'question', columns: [id, mood] }), true)
    await runner.createTable(new Table({ name: 'answer', columns: [id, { name: 'text', type: 'varchar' }] }), true)
    await runner.createIndex('answer', new TableIndex({ name: 'answer_text', columnNames: ['text'] }))
  }),
  migration('Keys1700000000001', async (runner) => {
    await runner.addColumn('answer', new TableColumn({ name: 'questionId', type: 'int', isNullable: true }))
    await runner.createForeignKey(
      'answer',
      new TableForeignKey({
        columnNames: ['questionId'],
        referencedTableName: 'question',
        referencedColumnNames: ['id'],
      }),
    )
    await runner.renameColumn('answer', 'text', 'body')
    await runner.renameTable('answer', 'reply')
  }),
]

describe('migrations', () => {
  it('may use the methods of the runner on tables that they made by them', async () => {
    const some = byMethods.slice(0, 1)
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await runMigrations(theirs.name, some)
    await ensureTables(ours.url, modelsOf(some))
    await ensureTables(ours.url, modelsOf(byMethods))
    await runMigrations(theirs.name, byMethods)
    expect(await checkDatabase(theirs.url, modelsOf(byMethods), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await checkDatabase(ours.url, modelsOf(byMethods), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('may be the files of a folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tenantry-migrations-'))
    afterwards(() => rm(folder, { recursive: true, force: true }))
    const code = `export class Note1700000000000 {
      async up(runner: { query(sql: string): Promise<unknown> }): Promise<void> { await runner.query('create table note (id int)') }
      async down(): Promise<void> {}
    }`
    await writeFile(join(folder, '1700000000000-note.mts'), code)
    const { url, name } = await existingDatabase()
    const models = modelsOf([], { migrations: [join(folder, '*.mts')] })
    expect((await ensureTables(url, models)).created).toContainEqual({ kind: 'table', name: 'note' })
    expect(await history(name)).toMatchObject([{ name: 'Note1700000000000' }])
  })

  it.each<[string, (runner: QueryRunner) => unknown, string]>([
    ['reads rows', async (runner) => (await runner.query('select 1')).at(0), 'a1700000000000 reads rows'],
    ['takes rows apart', async (runner) => (([row]) => row)(await runner.query('select 1')), 'reads rows'],
    ['reads rows, and goes on', (runner) => runner.hasTable('x').catch(() => false), 'a1700000000000 reads rows'],
    ['looks at a table of no migration', (runner) => runner.getTable('x'), 'reads rows'],
    ['changes one', (runner) => runner.dropColumn('x', 'y'), 'reads rows'],
    ['reads entities', (runner) => runner.manager.count('User'), 'reads rows'],
    ['throws', () => Promise.reject(new Error('no such luck')), 'a1700000000000 failed: no such luck'],
    ['rolls back', (runner) => runner.rollbackTransaction(), 'rolls back'],
    ['is random', (runner) => runner.query('select $1', [Math.random()]), 'sends other statements each time'],
  ])('are refused where one %s', async (_, up, message) => {
    const error = await errorOf(modelsOf([migration('a1700000000000', up)]).schema.fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })

  it.each<[string, Parameters<typeof modelsOf>[0], string]>([
    ['there are none', [], 'no migrations'],
    ['one has no time', [migration('Nothing', '')], 'Nothing migration name is wrong'],
    ['two have one name', [migration('a1700000000000', ''), migration('a1700000000000', '')], 'Duplicate migrations'],
  ])('are refused where %s', async (_, migrations, message) => {
    const error = await errorOf(modelsOf(migrations).schema.fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})

it('a long history makes the same tables and rows as by TypeORM itself', async () => {
  const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
  expect((await runMigrations(theirs.name, longHistory)).applied).toHaveLength(100)
  await ensureTables(ours.url, modelsOf(longHistory))
  const models = modelsOf(longHistory)
  expect(await checkDatabase(theirs.url, models, { exact: true })).toMatchObject({ outcome: 'matches' })
  expect(await runMigrations(ours.name, longHistory)).toEqual(nothingPending)
  const rows = 'select name, state, "parentId" from item9 order by id'
  expect(await queryIn(ours.name, rows)).toEqual(await queryIn(theirs.name, rows))
})

describe('a database', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name, i) => migration(`${name}170000000000${i}`, 'select 1'))

  it.each<[string, Parameters<typeof modelsOf>[0], string]>([
    ['that has a migration which is missing', [a!, d!], 'has c1700000000002, which the folder lacks'],
    ['that a migration comes too late for', [a!, b!, c!], 'b1700000000001 comes before c1700000000002'],
  ])('%s is refused', async (_, migrations, message) => {
    const { url } = await existingDatabase()
    await ensureTables(url, modelsOf([a!, c!]))
    const error = await errorOf(ensureTables(url, modelsOf(migrations)))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
  })

  it('gets all migrations that it lacks or none, and an error names the migration and its statement', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, modelsOf(files))
    const broken = migration('Broken1700000000004', `insert into person (name) values (null)`)
    const error = await errorOf(ensureTables(url, modelsOf([...files, ...later, broken])))
    const message = expect.stringMatching(/Broken1700000000004: [^]*not-null[^]*statement: insert into person/)
    expect(error).toMatchObject({ code: 'schema-conflict', message })
    expect(await queryIn(name, `select to_regclass('note') as found`)).toEqual([{ found: null }])
  })
})
