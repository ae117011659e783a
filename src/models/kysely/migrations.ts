import { promises as fs } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { FileMigrationProvider, type MigrationProvider } from 'kysely/migration'
import * as v from 'valibot'
import { quoteName, quoteText } from '../../kernel/quoting.ts'
import { messageOf, TenantryError } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import { checked, hasMethods, identifier, optionsOf, readOptions } from '../../kernel/options.ts'
import { folderPath, isFolder } from '../migrations/folder.ts'
import { columnsOf, type HistoryTable, qualifiedTable } from '../migrations/history-table.ts'
import { lackingRecorded, type RecordedMigration, recordTwice, runRecorded } from '../migrations/recorded.ts'
import type { SchemaSession, SchemaSource } from '../port.ts'
import { recordMigration } from './recording.ts'

/** Options of {@link kyselyMigrations}: those of Kysely's Migrator, and the default schema. */
export interface KyselyMigrationsOptions {
  /** The schema of the tables that name none. Default `public`. */
  readonly defaultSchema?: string
  /** The table of applied migrations. Default `kysely_migration`. */
  readonly migrationTableName?: string
  /** The table of the Migrator's lock. Default `kysely_migration_lock`. */
  readonly migrationLockTableName?: string
  /** The schema of both. Default: that of `defaultSchema`. */
  readonly migrationTableSchema?: string
}

/**
 * Reads the tables of a service from Kysely's migrations. A database keeps its history in the tables of Kysely's Migrator,
 * so that it and Tenantry agree.
 *
 * Each `up` runs without a database, when the tables are first needed: the statements that it sends are recorded, and run
 * in a transaction. So it must send the same ones each time, and cannot read rows. Indexes are created and dropped
 * without CONCURRENTLY.
 *
 * @param migrations a provider, or the folder of migrations: a path, or a URL such as
 *   `new URL('migrations/', import.meta.url)`
 * @throws `invalid-option`; migrations that cannot be used are reported as `models-invalid` by the first call that needs
 *   them
 */
export function kyselyMigrations(
  migrations: MigrationProvider | string | URL,
  options: KyselyMigrationsOptions = {},
): SchemaSource {
  const provider = readOptions('The argument of kyselyMigrations()', providerSchema, migrations)
  const read = readOptions('kyselyMigrations', optionsSchema, options)
  const { defaultSchema = 'public', migrationTableSchema: schema = defaultSchema } = read
  const at = { schema, table: read.migrationTableName ?? 'kysely_migration' }
  const lock = { schema, table: read.migrationLockTableName ?? 'kysely_migration_lock' }
  let recording: Promise<readonly RecordedMigration[]> | undefined
  const recorded = () => (recording ??= recordTwice(() => recordAll(provider)))
  return {
    defaultSchema,
    history: { ...at, lockTable: lock.table },
    fingerprint: async () => sha256(JSON.stringify([at, lock, ...(await recorded())])),
    create: async (session) => {
      const all = await recorded()
      for (const migration of all) await runRecorded(session, migration)
      const ownSchema = schema === defaultSchema ? [] : [`create schema if not exists ${quoteName(schema)}`]
      const records = all.map(({ name }, i) => migratorRow(at, name, i))
      await session.script([...ownSchema, ...migratorTables(at, lock), ...records])
    },
    pending: async (session) =>
      lackingRecorded(await recorded(), await historyOf(session, at), (name, i) => migratorRow(at, name, i)),
  }
}

const providerSchema = v.pipe(
  checked<MigrationProvider | string | URL>(
    (value) => isFolder(value) || hasMethods(value, 'getMigrations'),
    'a MigrationProvider, a path or a file URL',
    "Write kyselyMigrations('migrations').",
  ),
  v.transform((given) => {
    if (typeof given !== 'string' && !(given instanceof URL)) return given
    return new FileMigrationProvider({
      fs,
      path,
      migrationFolder: path.resolve(folderPath(given)),
      import: (file) => import(pathToFileURL(file).href),
    })
  }),
)

const optionsSchema = optionsOf<KyselyMigrationsOptions>({
  defaultSchema: identifier('default schema'),
  migrationTableName: identifier('table of migrations'),
  migrationLockTableName: identifier('table of the lock'),
  migrationTableSchema: identifier('schema of migrations'),
})

/** Records all migrations, in their order. @throws `models-invalid` */
async function recordAll(provider: MigrationProvider): Promise<readonly RecordedMigration[]> {
  const migrations = await getMigrations(provider)
  const recorded: RecordedMigration[] = []
  for (const name of Object.keys(migrations).toSorted()) {
    const migration = migrations[name]
    if (migration !== undefined) recorded.push(await recordMigration(name, migration))
  }
  return recorded
}

async function getMigrations(provider: MigrationProvider): ReturnType<MigrationProvider['getMigrations']> {
  try {
    const migrations = await provider.getMigrations()
    if (Object.keys(migrations).length > 0) return migrations
  } catch (error) {
    throw new TenantryError('models-invalid', `The migrations cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'Give kyselyMigrations() the folder of the migrations, or the provider that Kysely uses.',
    })
  }
  throw new TenantryError('models-invalid', 'There are no migrations.', {
    hint: 'Give kyselyMigrations() the folder of the migrations, or the provider that Kysely uses.',
  })
}

/** Returns the statements that make the tables of Kysely's Migrator. */
function migratorTables(at: HistoryTable, lock: HistoryTable): readonly string[] {
  return [
    `create table if not exists ${qualifiedTable(at)} (
       name varchar(255) not null primary key, "timestamp" varchar(255) not null)`,
    `create table if not exists ${qualifiedTable(lock)} (
       id varchar(255) not null primary key, is_locked integer default 0 not null)`,
    `insert into ${qualifiedTable(lock)} (id, is_locked) values ('migration_lock', 0)`,
  ]
}

/** Returns the statement that records a migration. Kysely sorts them by their times, so each has another one. */
function migratorRow(at: HistoryTable, name: string, index: number): string {
  const time = `now() at time zone 'utc' + interval '${index} milliseconds'`
  return `insert into ${qualifiedTable(at)} (name, "timestamp")
    values (${quoteText(name)}, to_char(${time}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`
}

/** Returns the names of the migrations that a database has; undefined if it has no table of them. */
async function historyOf(session: SchemaSession, at: HistoryTable): Promise<readonly string[] | undefined> {
  if ((await columnsOf(session, at)).length === 0) return undefined
  const { rows } = await session.query(`select name from ${qualifiedTable(at)} order by "timestamp", name`)
  return (rows as readonly { readonly name: string }[]).map(({ name }) => name)
}
