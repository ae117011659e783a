import { promises as fs } from 'node:fs'
import path from 'node:path'
import { FileMigrationProvider } from 'kysely/migration'
import { Migration } from '@mikro-orm/migrations'
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql'
import type { Models, SchemaSource } from 'tenantry'
import { kyselyMigrations } from 'tenantry/kysely'
import { mikroOrm } from 'tenantry/mikro-orm'
import { sqlFiles } from 'tenantry/sql'
import { expectTypeOf, test } from 'vitest'

const Person = defineEntity({ name: 'Person', properties: { id: p.integer().primary() } })

test("a folder's layout is one of a few", () => {
  expectTypeOf(sqlFiles('migrations', { layout: 'dbmate', historyTable: 'applied' })).toEqualTypeOf<SchemaSource>()
  expectTypeOf(sqlFiles(new URL('file:///migrations'), { layout: 'flyway' })).toEqualTypeOf<SchemaSource>()
  // @ts-expect-error -- there is no such layout
  sqlFiles('migrations', { layout: 'liquibase' })
})

test("MikroORM's migrations are its own", () => {
  class Empty extends Migration {
    override up(): void {}
  }
  const migrations = { migrationsList: [Empty, { name: 'b', class: Empty }], tableName: 'ops.applied' }
  expectTypeOf(mikroOrm({ entities: [Person], migrations }).schema).toEqualTypeOf<SchemaSource>()
  expectTypeOf(mikroOrm({ entities: [Person], migrations: { path: 'migrations' } })).toEqualTypeOf<
    Models<EntityManager>
  >()
  // @ts-expect-error -- MikroORM knows paths alone
  mikroOrm({ entities: [Person], migrations: { path: new URL('file:///migrations') } })
})

test("Kysely's migrations come from its own provider", () => {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder: '/migrations' })
  expectTypeOf(kyselyMigrations(provider, { migrationTableSchema: 'ops' })).toEqualTypeOf<SchemaSource>()
  // @ts-expect-error -- a migration has an up
  kyselyMigrations({ getMigrations: async () => ({ a: {} }) })
})
