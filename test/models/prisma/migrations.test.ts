import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkDatabase, ensureTables, type SchemaSource } from 'tenantry'
import { describe, expect, it } from 'vitest'
import { existingDatabase, isAtLeast, queryIn } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { deploy, inSync, resolveApplied, resolveRolledBack, statusOf } from './engine.ts'
import { addMigrations, historyIn, type Migrations, migrationsFolder, prismaOf } from './folders.ts'

const users = '-- CreateSchema\nCREATE SCHEMA IF NOT EXISTS "public";\n\nCREATE TABLE "users" ("id" INT PRIMARY KEY);\n'
const posts = 'CREATE TABLE "posts" ("id" INT PRIMARY KEY, "user_id" INT REFERENCES "users" ("id"));\n'
const two = { '20261101_users': users, '20261102_posts': posts }

function sourceOf(migrations: string | URL): SchemaSource {
  return prismaOf(migrations).schema
}

/** The columns of a row that are the same however a migration was applied. */
function withoutTimes(rows: readonly Record<string, unknown>[]): unknown {
  return rows.map(({ id, started_at, finished_at, ...row }) => ({
    ...row,
    isUuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(String(id)),
    isFinished: started_at instanceof Date && finished_at instanceof Date && finished_at >= started_at,
  }))
}

const columns = `select attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) as "default"
  from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where attrelid = '_prisma_migrations'::regclass and attnum > 0 order by attnum`

describe('the history that Tenantry writes', () => {
  it("equals that of Prisma's engine, which finds nothing to do, and then applies later files", async () => {
    const folder = await migrationsFolder(two)
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, sourceOf(folder))
    await deploy(theirs.name, folder)
    expect(withoutTimes(await historyIn(ours.name))).toEqual(withoutTimes(await historyIn(theirs.name)))
    expect(await queryIn(ours.name, columns)).toEqual(await queryIn(theirs.name, columns))
    expect(await checkDatabase(theirs.url, sourceOf(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
    expect(await statusOf(ours.name, folder)).toEqual(inSync)
    expect(await deploy(ours.name, folder)).toEqual([])

    await addMigrations(folder, { '20261103_tags': 'CREATE TABLE "tags" ("id" INT);' })
    expect(await deploy(ours.name, folder)).toEqual(['20261103_tags'])
    expect((await ensureTables(ours.url, sourceOf(folder))).created).toEqual([])
  })

  it('is in the order of the names, whatever the time', async () => {
    const folder = await migrationsFolder({ b: posts, a: users, B: 'create table "B" (id int);' })
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(folder))
    expect((await historyIn(name)).map((row) => row['migration_name'])).toEqual(['B', 'a', 'b'])
    expect(await statusOf(name, folder)).toEqual(inSync)
  })
})

describe("the history that Prisma's engine writes", () => {
  it('is continued, and nothing is run again', async () => {
    const folder = await migrationsFolder({ '20261101_users': `${users}INSERT INTO users VALUES (1);` })
    const { url, name } = await existingDatabase()
    await deploy(name, folder)
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([])
    await addMigrations(folder, { '20261102_posts': posts })
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([{ kind: 'table', name: 'posts' }])
    expect(await queryIn(name, 'select id from users')).toEqual([{ id: 1 }])
    expect(await statusOf(name, folder)).toEqual(inSync)
  })

  it('lets its database be adopted as it is', async () => {
    const folder = await migrationsFolder(two)
    const { name } = await existingDatabase()
    await deploy(name, folder)
    await queryIn(name, 'insert into users values (1)')
    const written = await historyIn(name)
    const tenantry = await openTestTenantry(prismaOf(folder))
    expect(await tenantry.tenants.adopt('acme', { database: name })).toMatchObject({ outcome: 'adopted' })
    expect(await tenantry.with('acme', (client) => client.$queryRaw`select id from users`)).toEqual([{ id: 1 }])
    expect(await historyIn(name)).toEqual(written)
    expect(await tenantry.tenants.check('acme')).toMatchObject({ outcome: 'matches', privileges: [] })
    expect(await statusOf(name, folder)).toEqual(inSync)
  })

  it('is refused with a migration that failed, until that is resolved', async () => {
    const folder = await migrationsFolder({ ...two, '20261103_broken': 'select 1 / 0;' })
    const { url, name } = await existingDatabase()
    await errorOf(deploy(name, folder))
    const before = await historyIn(name)
    expect(await errorOf(ensureTables(url, sourceOf(folder)))).toMatchObject({
      code: 'schema-conflict',
      message: expect.stringContaining('20261103_broken failed'),
      hint: expect.stringContaining('npx prisma migrate resolve --rolled-back 20261103_broken'),
    })
    await addMigrations(folder, { '20261103_broken': 'select 1;' })
    const tenantry = await openTestTenantry(prismaOf(folder))
    expect(await errorOf(tenantry.tenants.adopt('acme', { database: name }))).toMatchObject({
      code: 'schema-conflict',
      message: expect.stringContaining('20261103_broken failed'),
    })
    expect(await historyIn(name)).toEqual(before)

    await resolveRolledBack(name, '20261103_broken')
    expect(await errorOf(tenantry.tenants.adopt('acme', { database: name }))).toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('lacks migrations: 20261103_broken'),
    })
    await ensureTables(url, sourceOf(folder))
    expect(await tenantry.tenants.adopt('acme', { database: name })).toMatchObject({ outcome: 'adopted' })
    expect(await historyIn(name)).toHaveLength(4)
    expect(await statusOf(name, folder)).toEqual(inSync)
  })

  it('counts migrations that were marked as applied', async () => {
    const folder = await migrationsFolder(two)
    const { url, name } = await existingDatabase()
    await queryIn(name, users)
    await resolveApplied(name, folder, '20261101_users')
    expect((await ensureTables(url, sourceOf(folder))).created).toEqual([{ kind: 'table', name: 'posts' }])
    expect(await statusOf(name, folder)).toEqual(inSync)
  })
})

describe('a database', () => {
  it.each<[string, Migrations, string]>([
    ['whose file was changed', { ...two, '20261101_users': `${users} ` }, '20261101_users/migration.sql was changed'],
    ['that has a migration which the folder lacks', { '20261102_posts': posts }, 'the database has 20261101_users'],
    [
      'that a file comes too late for',
      { ...two, '20261101_z': 'create table z (id int)' },
      '20261101_z/migration.sql comes before 20261102_posts/migration.sql',
    ],
  ])('%s is refused, and left as it is', async (_, migrations, message) => {
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(await migrationsFolder(two)))
    const written = await historyIn(name)
    const error = await errorOf(ensureTables(url, sourceOf(await migrationsFolder(migrations))))
    expect(error).toMatchObject({ code: 'schema-conflict', message: expect.stringContaining(message) })
    expect(await historyIn(name)).toEqual(written)
  })

  it('of a newer process is left as it is by an older one', async () => {
    const { url } = await existingDatabase()
    await ensureTables(url, sourceOf(await migrationsFolder(two)))
    expect((await ensureTables(url, sourceOf(await migrationsFolder({ '20261101_users': users })))).created).toEqual([])
  })

  it('gets all of the files that it lacks or none, and an error names the file, line and statement', async () => {
    const folder = await migrationsFolder({ '20261101_users': users })
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(folder))
    const broken = `-- posts, ü\n${posts}\n/* the\nnext */ ALTER TABLE "nowhere" ADD COLUMN "x" INT;\n`
    await addMigrations(folder, { '20261102_posts': broken })
    expect(await errorOf(ensureTables(url, sourceOf(folder)))).toMatchObject({
      code: 'schema-conflict',
      message: expect.stringMatching(
        /20261102_posts\/migration\.sql, line 5: .*"nowhere"[^]*ALTER TABLE "nowhere" ADD/,
      ),
    })
    expect(await queryIn(name, `select to_regclass('posts') as found`)).toEqual([{ found: null }])
    expect(await historyIn(name)).toHaveLength(1)
  })
})

describe('files that cannot run in a transaction', () => {
  const concurrent = {
    '20261101_users': users,
    '20261102_index': 'CREATE UNIQUE INDEX CONCURRENTLY "users_concurrently" ON "users" ("id");',
    '20261103_enum': `BEGIN;\nCREATE TYPE "mood" AS ENUM ('ok');\nCOMMIT;\nstart transaction; create table b (id int); end;`,
    '20261104_other_index': `drop index concurrently if exists "other";\ncreate index concurrently on users (id);`,
  }

  it('make the same database as with Prisma', async () => {
    const { '20261104_other_index': other, ...first } = concurrent
    const folder = await migrationsFolder(first)
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await ensureTables(ours.url, sourceOf(folder))
    await deploy(theirs.name, folder)
    expect(await checkDatabase(theirs.url, sourceOf(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
    // Prisma refuses it, as the file has two statements.
    await addMigrations(folder, { '20261104_other_index': other })
    await ensureTables(ours.url, sourceOf(folder))
    expect(await statusOf(ours.name, folder)).toEqual(inSync)
    expect(
      await queryIn(ours.name, `select indexdef from pg_indexes where indexname like 'users_%' order by 1`),
    ).toEqual([
      { indexdef: 'CREATE INDEX users_id_idx ON public.users USING btree (id)' },
      { indexdef: 'CREATE UNIQUE INDEX users_concurrently ON public.users USING btree (id)' },
      { indexdef: 'CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id)' },
    ])
  })

  it('set the isolation of their transaction, use temporary tables, and make constraints of indexes', async () => {
    const folder = await migrationsFolder({
      '1_users': users,
      '2_fill': [
        'BEGIN;\nSET TRANSACTION ISOLATION LEVEL REPEATABLE READ;',
        'CREATE TEMP TABLE "map" ON COMMIT DROP AS SELECT "id" FROM "users";\nCOMMIT;',
      ].join('\n'),
      '3_index': 'CREATE UNIQUE INDEX CONCURRENTLY "users_id_key" ON "users" ("id");',
      '4_key': `ALTER TABLE "users" DROP CONSTRAINT "users_pkey",\nADD CONSTRAINT "users_pkey" PRIMARY KEY USING INDEX "users_id_key";`,
    })
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await deploy(theirs.name, folder)
    await ensureTables(ours.url, sourceOf(folder))
    expect(await statusOf(ours.name, folder)).toEqual(inSync)
    const tenantry = await openTestTenantry(prismaOf(folder))
    expect(await tenantry.onboard('acme')).toMatchObject({ outcome: 'onboarded' })
    expect(await tenantry.tenants.adopt('old', { database: theirs.name })).toMatchObject({ outcome: 'adopted' })
    for (const id of ['acme', 'old'])
      expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('use the values that they add to an enum, where PostgreSQL allows it', async () => {
    const folder = await migrationsFolder({
      '1_type': `CREATE TYPE "mood" AS ENUM ('ok');`,
      '2_value': `ALTER TYPE "mood" ADD VALUE 'good';`,
      '3_use': `CREATE TABLE "day" ("mood" "mood" NOT NULL DEFAULT 'good');`,
    })
    const [ours, theirs] = [await existingDatabase(), await existingDatabase()]
    await deploy(theirs.name, folder)
    const making = ensureTables(ours.url, sourceOf(folder))
    if (await isAtLeast(17)) {
      await making
      expect(await checkDatabase(theirs.url, sourceOf(folder), { exact: true })).toMatchObject({ outcome: 'matches' })
    } else {
      expect(await errorOf(making)).toMatchObject({
        message: expect.stringContaining('unsafe use of new value "good"'),
      })
    }
  })

  it.each<[string, string, RegExp]>([
    ['rolls back', 'create table a (id int);\nrollback;', /1_a\/migration\.sql, line 2: only BEGIN and COMMIT/],
    ['is no SQL', 'create table a (id int);\n\ncreate tabel b;', /1_a\/migration\.sql, line 3: syntax error/],
  ])('are refused where one %s', async (_, text, message) => {
    const { url } = await existingDatabase()
    const error = await errorOf(ensureTables(url, sourceOf(await migrationsFolder({ '1_a': text }))))
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringMatching(message) })
  })
})

describe('a folder', () => {
  it('counts as the same with other line ends', async () => {
    const [one, other] = [
      await migrationsFolder(two),
      await migrationsFolder({ ...two, '20261101_users': users.replaceAll('\n', '\r\n') }),
    ]
    expect(await sourceOf(one).fingerprint()).toBe(await sourceOf(pathToFileURL(other)).fingerprint())
    const { url, name } = await existingDatabase()
    await ensureTables(url, sourceOf(other))
    expect((await ensureTables(url, sourceOf(one))).created).toEqual([])
    expect(await statusOf(name, one)).toEqual(inSync)
  })

  it.each<[string, (folder: string) => Promise<unknown>, string]>([
    ['is missing', (folder) => rm(folder, { recursive: true }), 'no such file or directory'],
    ['has no migrations', (folder) => rm(join(folder, '1_a'), { recursive: true }), 'has no migrations'],
    ['lacks the file of one', (folder) => rm(join(folder, '1_a', 'migration.sql')), 'migration.sql'],
    ['lacks migration_lock.toml', (folder) => rm(join(folder, 'migration_lock.toml')), 'migration_lock.toml'],
    [
      'is of another database',
      (folder) => writeFile(join(folder, 'migration_lock.toml'), '# x\nprovider = "mysql"\n'),
      'its provider is mysql',
    ],
  ])('is refused where it %s', async (_, spoil, message) => {
    const folder = await migrationsFolder({ '1_a': users })
    await spoil(folder)
    const error = await errorOf(sourceOf(folder).fingerprint())
    expect(error).toMatchObject({ code: 'models-invalid', message: expect.stringContaining(message) })
  })
})
