import { promises as fs } from 'node:fs'
import path from 'node:path'
import { FileMigrationProvider } from 'kysely/migration'
import type { SchemaSource } from 'tenantry'
import { kyselyMigrations } from 'tenantry/kysely'
import { sqlFiles } from 'tenantry/sql'
import { expectTypeOf, test } from 'vitest'

test("a folder's layout is one of a few", () => {
  expectTypeOf(sqlFiles('migrations', { layout: 'dbmate', historyTable: 'applied' })).toEqualTypeOf<SchemaSource>()
  expectTypeOf(sqlFiles(new URL('file:///migrations'), { layout: 'flyway' })).toEqualTypeOf<SchemaSource>()
  // @ts-expect-error -- there is no such layout
  sqlFiles('migrations', { layout: 'liquibase' })
})

test("Kysely's migrations come from its own provider", () => {
  const provider = new FileMigrationProvider({ fs, path, migrationFolder: '/migrations' })
  expectTypeOf(kyselyMigrations(provider, { migrationTableSchema: 'ops' })).toEqualTypeOf<SchemaSource>()
  // @ts-expect-error -- a migration has an up
  kyselyMigrations({ getMigrations: async () => ({ a: {} }) })
})
