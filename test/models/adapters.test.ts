import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineEntity, p } from '@mikro-orm/core'
import { CompiledQuery, type Kysely } from 'kysely'
import { drizzle } from 'tenantry/drizzle'
import { kysely, kyselyMigrations } from 'tenantry/kysely'
import { mikroOrm } from 'tenantry/mikro-orm'
import { sqlFiles } from 'tenantry/sql'
import { typeorm } from 'tenantry/typeorm'
import { type Check, handleFactoryChecks, schemaSourceChecks } from 'tenantry/testing'
import { describe, expect, it } from 'vitest'
import { drizzleModels } from '../../bench/peers/handles.ts'
import { afterwards, serverUrl } from '../support/server.ts'
import { journalFolder } from './drizzle/folders.ts'
import { posts, users } from './drizzle/schema.ts'
import * as blog from './drizzle/schema.ts'
import { migrationsFolder, prismaOf } from './prisma/folders.ts'
import * as typeormBlog from './typeorm/blog.ts'
import { migration as typeormMigration, modelsOf as typeormModels } from './typeorm/run-migrations.ts'

// The checks that an adapter's author runs.

function register(checks: readonly Check[]): void {
  it.each(checks)('$name', ({ run }) => expect(run()).resolves.toBeUndefined())
}

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary(), text: p.string() } })
const Task = defineEntity({ name: 'Task', properties: { id: p.integer().primary(), done: p.boolean() } })

/** A folder of migrations, by their names. */
async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-migrations-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

const first = { '1_note.sql': 'create table note (id int primary key, text text not null);' }
const later = {
  '2_task.sql': "create table task (id int primary key, done boolean); insert into note values (1, 'a; b');",
  '10_names.sql': 'alter table note rename column text to body; alter table task rename to job; -- the end',
}
const [older, folder, other] = await Promise.all([
  folderOf(first),
  folderOf({ ...first, ...later }),
  folderOf({ '1_user.sql': 'create table "user" (id int)' }),
])

const [generatedOlder, generated, generatedOther] = await Promise.all([
  journalFolder({ '0000_note': first['1_note.sql'] }),
  journalFolder({
    '0000_note': first['1_note.sql'],
    '0001_task': later['2_task.sql'],
    '0002_names': later['10_names.sql'],
  }),
  journalFolder({ '0000_user': 'create table "user" (id int)' }),
])

const [prismaOlder, prismaFolder, prismaOther] = await Promise.all([
  migrationsFolder({ '1_note': first['1_note.sql'] }),
  migrationsFolder({ '1_note': first['1_note.sql'], '2_task': later['2_task.sql'], '3_names': later['10_names.sql'] }),
  migrationsFolder({ '1_user': 'create table "user" (id int)' }),
])

describe('the schema source of', () => {
  describe('MikroORM', () => {
    const sourceOf = (entities: (typeof Note | typeof Task)[]) => () => mikroOrm({ entities }).schema
    register(schemaSourceChecks({ url: serverUrl(), make: sourceOf([Note]), makeOther: sourceOf([Note, Task]) }))
  })

  describe('Drizzle', () => {
    const { counts: _, ...smaller } = blog
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: () => drizzle({ schema: blog }).schema,
        makeOther: () => drizzle({ schema: smaller }).schema,
      }),
    )
  })

  describe('a folder of drizzle-kit', () => {
    const sourceOf = (migrations: string) => () => drizzle({ migrations }).schema
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: sourceOf(generated),
        makeOther: sourceOf(generatedOther),
        makeOlder: sourceOf(generatedOlder),
      }),
    )
  })

  describe('a folder of Prisma', () => {
    const sourceOf = (migrations: string) => () => prismaOf(migrations).schema
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: sourceOf(prismaFolder),
        makeOther: sourceOf(prismaOther),
        makeOlder: sourceOf(prismaOlder),
      }),
    )
  })

  describe('TypeORM', () => {
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: () => typeorm({ entities: typeormBlog.entities }).schema,
        makeOther: () => typeorm({ entities: [typeormBlog.labelSchema] }).schema,
      }),
    )
  })

  describe("TypeORM's migrations", () => {
    const migrations = [
      typeormMigration('Note1700000000000', first['1_note.sql']),
      typeormMigration('Task1700000000001', later['2_task.sql']),
      typeormMigration('Names1700000000002', later['10_names.sql']),
    ]
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: () => typeormModels(migrations).schema,
        makeOther: () => typeormModels([typeormMigration('User1700000000000', 'create table "user" (id int)')]).schema,
        makeOlder: () => typeormModels(migrations.slice(0, 1)).schema,
      }),
    )
  })

  describe('a folder of SQL files', () => {
    const sourceOf = (path: string) => () => sqlFiles(path)
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: sourceOf(folder),
        makeOther: sourceOf(other),
        makeOlder: sourceOf(older),
      }),
    )
  })

  describe("Kysely's migrations", () => {
    const migrations = {
      '1_note': {
        up: (db: Kysely<object>) => db.schema.createTable('note').addColumn('id', 'integer').execute(),
      },
      '2_task': {
        up: (db: Kysely<object>) => db.schema.createTable('task').addColumn('done', 'boolean').execute(),
      },
    }
    const sourceOf = (some: Partial<typeof migrations>) => () =>
      kyselyMigrations({ getMigrations: async () => ({ ...some }) })
    const { '1_note': note, '2_task': task } = migrations
    register(
      schemaSourceChecks({
        url: serverUrl(),
        make: sourceOf(migrations),
        makeOther: sourceOf({ '2_task': task }),
        makeOlder: sourceOf({ '1_note': note }),
      }),
    )
  })

  describe.each([
    ['dbmate', '', '-- migrate:up\n', '-- migrate:down\n'],
    ['node-pg-migrate', '', '-- Up Migration\n', ''],
    ['goose', '', '-- +goose Up\n', '-- +goose Down\n'],
    ['flyway', 'V', '', ''],
  ] as const)("a tool's folder: %s", async (layout, prefix, up, down) => {
    const migration = (text: string) => `${up}${text}\n${down}`
    const note = { [`${prefix}1__note.sql`]: migration(first['1_note.sql']) }
    const task = { [`${prefix}2__task.sql`]: migration(later['2_task.sql']) }
    const user = { [`${prefix}3__user.sql`]: migration('create table "user" (id int);') }
    const folders = await Promise.all([note, { ...note, ...task }, user].map(folderOf))
    const [makeOlder, make, makeOther] = folders.map((path) => () => sqlFiles(path, { layout }))
    register(schemaSourceChecks({ url: serverUrl(), make: make!, makeOther: makeOther!, makeOlder: makeOlder! }))
  })
})

describe('the handle factory of', () => {
  const url = serverUrl()

  describe('MikroORM', () => {
    register(
      handleFactoryChecks({
        url,
        handles: mikroOrm({ entities: [Note] }).handles,
        execute: (em, text) => em.execute(text),
        transaction: (em, work) => em.transactional((inner) => work((text) => inner.execute(text))),
      }),
    )
  })

  describe('Kysely', () => {
    const execute = async (db: Kysely<object>, text: string) => (await db.executeQuery(CompiledQuery.raw(text))).rows
    register(
      handleFactoryChecks({
        url,
        handles: kysely<object>(),
        execute,
        transaction: (db, work) => db.transaction().execute((trx) => work((text) => execute(trx, text))),
      }),
    )
  })

  describe('Drizzle', () => {
    register(
      handleFactoryChecks({
        url,
        handles: drizzle({ schema: { users, posts } }).handles,
        execute: async (db, text) => (await db.execute(text)).rows,
        transaction: (db, work) => db.transaction(async (tx) => work(async (text) => (await tx.execute(text)).rows)),
      }),
    )
  })

  describe('Drizzle, on a pg Pool', () => {
    register(
      handleFactoryChecks({
        url,
        handles: drizzleModels().handles,
        execute: async (db, text) => (await db.execute(text)).rows,
        transaction: (db, work) => db.transaction(async (tx) => work(async (text) => (await tx.execute(text)).rows)),
      }),
    )
  })

  describe('Prisma', () => {
    register(
      handleFactoryChecks({
        url,
        handles: prismaOf(prismaFolder).handles,
        execute: (client, text) => client.$queryRawUnsafe<unknown[]>(text),
        transaction: (client, work) => client.$transaction((tx) => work((text) => tx.$queryRawUnsafe<unknown[]>(text))),
      }),
    )
  })

  describe('TypeORM', () => {
    register(
      handleFactoryChecks({
        url,
        handles: typeorm({ entities: typeormBlog.entities }).handles,
        execute: (manager, text) => manager.query<unknown[]>(text),
        transaction: (manager, work) => manager.transaction((inner) => work((text) => inner.query<unknown[]>(text))),
      }),
    )
  })
})
