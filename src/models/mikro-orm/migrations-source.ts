import type { MikroORM } from '@mikro-orm/postgresql'
import { quoteName, quoteText } from '../../kernel/quoting.ts'
import { TenantryError, messageOf } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import { columnsOf, type HistoryTable, qualifiedTable } from '../migrations/history-table.ts'
import { lackingRecorded, type RecordedMigration, recordTwice, runRecorded } from '../migrations/recorded.ts'
import type { SchemaSession, SchemaSource } from '../port.ts'
import type { MikroOrmModelsOptions } from './discovery.ts'

/** True if the options name migrations. */
export function hasMigrations({ migrations = {} }: MikroOrmModelsOptions): boolean {
  return (migrations.path ?? migrations.pathTs ?? migrations.migrationsList) !== undefined
}

/** Reads the tables of a service from MikroORM's migrations. A database keeps its history in the Migrator's table. */
export function migrationsOf(options: MikroOrmModelsOptions, orm: () => Promise<MikroORM>): SchemaSource {
  const { at, defaultSchema } = schemasOf(options)
  let recording: Promise<readonly RecordedMigration[]> | undefined
  const recorded = () => (recording ??= record(orm))
  return {
    defaultSchema,
    history: at,
    fingerprint: async () => sha256(JSON.stringify([defaultSchema, at, ...(await recorded())])),
    create: async (session) => {
      const all = await recorded()
      // First, as the Migrator does: the migrations may use its schema.
      await session.script(tableStatements(at))
      for (const migration of all) await runRecorded(session, migration)
      await session.script(all.map(({ name }) => rowStatement(at, name)))
    },
    pending: async (session) =>
      lackingRecorded(await recorded(), await appliedIn(session, at), (name) => rowStatement(at, name)),
  }
}

/** Returns the Migrator's table, and the schema of names without one. */
function schemasOf({ migrations = {}, schema }: MikroOrmModelsOptions): {
  readonly at: HistoryTable
  readonly defaultSchema: string
} {
  const { tableName = 'mikro_orm_migrations', schema: runSchema } = migrations
  const [first = tableName, second] = tableName.split('.')
  const [prefix, table] = second === undefined ? [undefined, first] : [first, second]
  return { at: { schema: runSchema ?? prefix ?? schema ?? 'public', table }, defaultSchema: runSchema ?? 'public' }
}

/** @throws `models-invalid` */
async function record(orm: () => Promise<MikroORM>): Promise<readonly RecordedMigration[]> {
  const [discovered, { recordMigrations }] = [await orm(), await loadMigrator()]
  return recordTwice(() => recordMigrations(discovered))
}

/** Loads MikroORM's Migrator, which not every project has. @throws `models-invalid` */
async function loadMigrator() {
  try {
    return await import('./recording-migrator.ts')
  } catch (error) {
    throw new TenantryError('models-invalid', `@mikro-orm/migrations cannot be loaded: ${messageOf(error)}`, {
      cause: error,
      hint: 'Install it in the version of @mikro-orm/core: npm install @mikro-orm/migrations.',
    })
  }
}

/** Returns the statements that make the Migrator's table as it does. */
function tableStatements(at: HistoryTable): readonly string[] {
  const ownSchema = at.schema === 'public' ? [] : [`create schema if not exists ${quoteName(at.schema)}`]
  return [
    ...ownSchema,
    `create table if not exists ${qualifiedTable(at)} (
       id serial primary key, name varchar(255) not null, executed_at timestamptz(6) not null default current_timestamp)`,
  ]
}

function rowStatement(at: HistoryTable, name: string): string {
  return `insert into ${qualifiedTable(at)} (name) values (${quoteText(name)})`
}

/** Returns the names of the migrations that a database has; undefined if it has no table of them. */
async function appliedIn(session: SchemaSession, at: HistoryTable): Promise<readonly string[] | undefined> {
  if ((await columnsOf(session, at)).length === 0) return undefined
  const { rows } = await session.query(`select name from ${qualifiedTable(at)} order by id`)
  // Older versions of the Migrator recorded the file.
  return (rows as readonly { readonly name: string }[]).map(({ name }) => name.replace(/\.[jt]s$/, ''))
}
