import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkDatabase, ensureTables, type SchemaSource } from 'tenantry'
import { drizzle } from 'tenantry/drizzle'
import { describe, expect, it } from 'vitest'
import { existingDatabase, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { datedFolder, historyIn, journalFolder, migrateByDrizzle, type Migrations, writeJournal } from './folders.ts'

const breakpoint = '\n--> statement-breakpoint\n'
const users = 'CREATE TABLE "users" ("id" integer PRIMARY KEY, "name" text);'
const posts = [
  'CREATE TABLE "posts" ("id" integer PRIMARY KEY, "user_id" integer);',
  'ALTER TABLE "posts" ADD CONSTRAINT "posts_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id");',
].join(breakpoint)
const two = { '0000_users': users, '0001_posts': posts }

function sourceOf(migrations: string | URL): SchemaSource {
  return drizzle({ migrations }).schema
}

describe('the history that Tenantry writes', () => {
  it("is Drizzle's own: its migrator does nothing afterwards, and then applies later files", async () => {
    const folder = await journalFolder(two)
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(folder))
    const written = await historyIn(name)
    await migrateByDrizzle(name, folder)
    expect(await historyIn(name)).toEqual(written)

    await writeJournal(folder, { ...two, '0002_tags': 'CREATE TABLE "tags" ("id" integer);' })
    await migrateByDrizzle(name, folder)
    expect(await historyIn(name)).toHaveLength(3)
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([])
    expect(await checkDatabase(url, sourceOf(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('is kept in the table that its configuration names', async () => {
    const folder = await journalFolder(two)
    const place = { migrationsTable: 'my "migrations"', migrationsSchema: 'public' }
    const source = drizzle({ migrations: folder, ...place }).schema
    const { url, name } = await existingDatabase()
    await ensureTables(url, source)
    await migrateByDrizzle(name, folder, place)
    expect(await queryIn(name, 'select * from public."my ""migrations"""')).toHaveLength(2)
    expect(await checkDatabase(url, source, { exact: true })).toMatchObject({ outcome: 'matches' })
    expect((await ensureTables(url, source)).created).toEqual([])
  })

  it('equals that of the migrator, row by row and column by column', async () => {
    const folder = await journalFolder(two)
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, sourceOf(folder))
    await migrateByDrizzle(theirs.name, folder)
    expect(await historyIn(ours.name)).toEqual(await historyIn(theirs.name))
  })
})

describe("the history that Drizzle's migrator writes", () => {
  it('is continued, and nothing is run again', async () => {
    const folder = await journalFolder({ '0000_users': `${users}${breakpoint}INSERT INTO users VALUES (1, 'Ada');` })
    const { url, name } = await existingDatabase()
    await migrateByDrizzle(name, folder)
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([])
    await writeJournal(folder, {
      '0000_users': `${users}${breakpoint}INSERT INTO users VALUES (1, 'Ada');`,
      '0001_posts': posts,
    })
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([{ kind: 'table', name: 'posts' }])
    expect(await queryIn(name, 'select id, name from users')).toEqual([{ id: 1, name: 'Ada' }])
    const written = await historyIn(name)
    await migrateByDrizzle(name, folder)
    expect(await historyIn(name)).toEqual(written)
  })

  it('lets its database be adopted as it is', async () => {
    const folder = await journalFolder(two)
    const { name } = await existingDatabase()
    await migrateByDrizzle(name, folder)
    await queryIn(name, `insert into users values (1, 'Ada')`)
    const written = await historyIn(name)
    const tenantry = await openTestTenantry(drizzle({ migrations: folder }))
    expect(await tenantry.tenants.adopt('acme', { database: name })).toMatchObject({ outcome: 'adopted' })
    const { rows } = await tenantry.with('acme', (db) => db.execute('select name from users'))
    expect(rows).toEqual([{ name: 'Ada' }])
    expect(await historyIn(name)).toEqual(written)
    expect(await tenantry.tenants.check('acme')).toMatchObject({ outcome: 'matches' })
  })

  it('may be empty', async () => {
    const { url, name } = await existingDatabase()
    await migrateByDrizzle(name, await journalFolder({}))
    await ensureTables(url, sourceOf(await journalFolder(two)))
    expect(await historyIn(name)).toHaveLength(2)
  })
})

describe('a database', () => {
  it.each<[string, Migrations, string]>([
    ['whose file was changed', { ...two, '0000_users': `${users} ` }, '0000_users.sql was changed'],
    [
      'that has a migration which the folder lacks',
      { '0000_users': users, '0002_x': { sql: '', when: 900_000 } },
      'which the folder lacks',
    ],
    [
      'that a file comes too late for',
      { '0000_users': users, '0001_late': { sql: '', when: 150_000 }, '0001_posts': { sql: posts, when: 200_000 } },
      '0001_late.sql comes before 0001_posts.sql',
    ],
    [
      'that a file of an earlier time comes too late for',
      { ...two, '0002_late': { sql: '', when: 150_000 } },
      '0002_late.sql comes before 0001_posts.sql',
    ],
  ])('%s is refused, and left as it is', async (_, migrations, message) => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(await journalFolder(two)))
    const written = await historyIn(name)
    const error = await errorOf(ensureTables(url, sourceOf(await journalFolder(migrations))))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
    expect(await historyIn(name)).toEqual(written)
  })

  it('of a newer process is left as it is by an older one', async () => {
    const { url } = await existingDatabase()
    await ensureTables(url, sourceOf(await journalFolder(two)))
    expect((await ensureTables(url, sourceOf(await journalFolder({ '0000_users': users })))).created).toEqual([])
  })

  it('without a history is refused where it has objects', async () => {
    const { url, name } = await existingDatabase()
    await queryIn(name, users)
    const error = await errorOf(ensureTables(url, sourceOf(await journalFolder(two))))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining('no history') })
  })

  it('gets all of the files that it lacks or none, and an error names the file, line and statement', async () => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(await journalFolder({ '0000_users': users })))
    const broken = `-- posts\n${posts}${breakpoint}\nALTER TABLE "nowhere" ADD COLUMN "x" integer;`
    const error = await errorOf(
      ensureTables(url, sourceOf(await journalFolder({ '0000_users': users, '0001_posts': broken }))),
    )
    expect(error).toMatchObject({
      code: 'schema-conflict',
      message: expect.stringMatching(/0001_posts\.sql, line 7: .*"nowhere"[^]*ALTER TABLE "nowhere" ADD COLUMN/),
    })
    expect(await queryIn(name, `select to_regclass('posts') as found`)).toEqual([{ found: null }])
  })
})

describe('a new tenant', () => {
  it('is refused with the file, line and statement that failed', async () => {
    const migrations = await journalFolder({ '0000_users': `${users}${breakpoint}INSERT INTO "users" VALUES (1 / 0);` })
    const tenantry = await openTestTenantry(drizzle({ migrations }))
    expect(await errorOf(tenantry.onboard('acme'))).toMatchObject({
      message: expect.stringMatching(/0000_users\.sql, line 3: .*division by zero[^]*INSERT INTO "users"/),
    })
  })

  it('has what older versions of drizzle-kit hid in blocks', async () => {
    const block = (statement: string) =>
      `DO $$ BEGIN\n ${statement}\nEXCEPTION\n WHEN duplicate_object THEN null;\nEND $$;`
    const [, key = ''] = posts.split(breakpoint)
    const migrations = await journalFolder({
      '0000_all': [
        block(`CREATE TYPE "public"."mood" AS ENUM('a', 'b');`),
        users,
        'CREATE TABLE "posts" ("id" integer, "user_id" integer, "mood" "mood");',
        block(key),
      ].join(breakpoint),
    })
    const tenantry = await openTestTenantry(drizzle({ migrations }))
    await tenantry.onboard('acme')
    expect(await tenantry.tenants.check('acme')).toMatchObject({ outcome: 'matches' })
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(migrations))
    expect(await checkDatabase(url, sourceOf(migrations), { exact: true })).toMatchObject({ outcome: 'matches' })
    await migrateByDrizzle(name, migrations)
  })
})

describe('a folder', () => {
  it('counts as the same with other line ends', async () => {
    const lines = { '0000_users': users.replace(' (', '\n(') }
    const [one, other] = [
      await journalFolder(lines),
      await journalFolder({ '0000_users': lines['0000_users'].replaceAll('\n', '\r\n') }),
    ]
    expect(await sourceOf(one).fingerprint()).toBe(await sourceOf(pathToFileURL(other)).fingerprint())
    const { url, name } = await existingDatabase()
    await migrateByDrizzle(name, other)
    expect((await ensureTables(url, sourceOf(one))).created).toEqual([])
  })

  it.each<[string, () => Promise<string>, string]>([
    ['is missing', async () => join(tmpdir(), 'tenantry-no-such-folder'), 'no such file or directory'],
    ['has no migrations', () => journalFolder({}), 'has no migrations'],
    [
      'has no file of an entry',
      async () => {
        const folder = await journalFolder(two)
        const entries = [{ tag: '0009_gone', when: 1 }]
        await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify({ dialect: 'postgresql', entries }))
        return folder
      },
      '0009_gone.sql',
    ],
    [
      'is of another database',
      async () => {
        const folder = await journalFolder(two)
        await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify({ dialect: 'mysql', entries: [] }))
        return folder
      },
      'mysql',
    ],
    [
      'has one time twice',
      () => journalFolder({ '0000_a': { sql: '', when: 1 }, '0000_b': { sql: '', when: 1 } }),
      '0000_b.sql has the same',
    ],
  ])('is refused where it %s', async (_, make, message) => {
    const error = await errorOf(sourceOf(await make()).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})

describe('a folder of Drizzle 1.0', () => {
  const dated = { '20261101120000_users': users, '20261102120000_posts': posts }

  it('is recorded with the names of its migrations', async () => {
    const folder = await datedFolder(dated)
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(folder))
    expect(await historyIn(name)).toMatchObject([
      {
        id: 1,
        created_at: String(Date.UTC(2026, 10, 1, 12)),
        name: '20261101120000_users',
        applied_at: expect.any(Date),
      },
      { id: 2, created_at: String(Date.UTC(2026, 10, 2, 12)), name: '20261102120000_posts' },
    ])
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([])
  })

  it('continues a history of the older layout, whose table it upgrades', async () => {
    const { url, name } = await existingDatabase()
    await migrateByDrizzle(
      name,
      await journalFolder({ '0000_users': { sql: users, when: Date.UTC(2026, 10, 1, 12, 0, 0, 345) } }),
    )
    const folder = await datedFolder(dated)
    await ensureTables(url, sourceOf(folder))
    expect(await historyIn(name)).toMatchObject([
      { name: '20261101120000_users', applied_at: null },
      { name: '20261102120000_posts', applied_at: expect.any(Date) },
    ])
    expect(await checkDatabase(url, sourceOf(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
  })
})
