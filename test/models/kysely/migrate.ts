import { Kysely, PostgresDialect } from 'kysely'
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration'
import { Pool } from 'pg'
import { serverUrl } from '../../support/server.ts'

/** Migrations by their names. */
export type Migrations = Readonly<Record<string, Migration>>

/** Returns the provider of migrations. */
export const providerOf = (migrations: Migrations): MigrationProvider => ({
  getMigrations: async () => ({ ...migrations }),
})

/** Runs Kysely's own Migrator on a database, and returns what it applied. */
export async function migrate(database: string, migrations: Migrations, place: object = {}): Promise<string[]> {
  const pool = new Pool({ connectionString: serverUrl({ database }) }).on('error', () => undefined)
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    const { error, results = [] } = await new Migrator({
      db,
      provider: providerOf(migrations),
      ...place,
    }).migrateToLatest()
    if (error instanceof Error) throw error
    return results.map(({ migrationName }) => migrationName)
  } finally {
    await db.destroy()
  }
}
