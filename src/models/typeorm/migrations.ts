import { quoteText } from '../../kernel/quoting.ts'
import { sha256 } from '../../kernel/hash.ts'
import { columnsOf, type HistoryTable, qualifiedTable } from '../migrations/history-table.ts'
import { lackingOf } from '../migrations/lacking.ts'
import { runMigration } from '../migrations/run-file.ts'
import type { SchemaChange, SchemaSession, SchemaSource } from '../port.ts'
import { onConnections, type ReadEntities, schemaStatements } from './entities.ts'
import { recordTypeOrmMigrations, type RecordedMigration } from './recorded-migrations.ts'
import { emptyDatabase, Recorder } from './recorder.ts'

/** The statements of TypeORM's migrations, and those that it sends before them. */
interface RecordedRun {
  /** Create the extensions of the entities. */
  readonly extensions: readonly string[]
  readonly historyTable: string
  /** Creates the table of views and generated columns, if the entities have any. */
  readonly metadataTable: string | undefined
  readonly migrations: readonly RecordedMigration[]
}

/** Reads the tables of TypeORM's migrations. They are recorded in its own table; late ones are refused. */
export function typeOrmMigrations(
  entities: () => Promise<ReadEntities>,
  at: HistoryTable,
  metadataTable: HistoryTable,
): SchemaSource {
  let recording: Promise<RecordedRun> | undefined
  const recorded = () => (recording ??= entities().then(recordAllOf))
  return {
    defaultSchema: 'public',
    history: at,
    fingerprint: async () => sha256(JSON.stringify([at, await recorded()])),
    create: async (session) => {
      const run = await recorded()
      const tables = [run.historyTable, ...(run.metadataTable === undefined ? [] : [run.metadataTable])]
      await session.script([...schemaStatements([at.schema]), ...run.extensions, ...tables])
      for (const { name, statements } of run.migrations) await runMigration(session, name, statements)
      await session.script(run.migrations.map((it) => historyStatement(at, it)))
    },
    pending: async (session) => {
      const history = await recordedNames(session, at)
      return history && lackingOfTypeOrm(session, { at, metadataTable, run: await recorded(), history })
    },
  }
}

async function recordAllOf(entities: ReadEntities): Promise<RecordedRun> {
  const migrations = await recordTypeOrmMigrations(entities)
  const before = new Recorder(emptyDatabase)
  const { dataSource, extensions, silent } = entities
  await onConnections(dataSource, async () => before, { logger: silent, migrations: [] }).runMigrations()
  const [historyTable = '', metadataTable] = await before.statements()
  return { extensions, historyTable, metadataTable, migrations }
}

function historyStatement(at: HistoryTable, { name, timestamp }: RecordedMigration): string {
  return `insert into ${qualifiedTable(at)} ("timestamp", name) values (${timestamp}, ${quoteText(name)})`
}

/** Returns the names of the migrations that a database has; undefined if it has no table of them. */
async function recordedNames(session: SchemaSession, at: HistoryTable): Promise<readonly string[] | undefined> {
  if ((await columnsOf(session, at)).length === 0) return undefined
  const { rows } = await session.query(`select name from ${qualifiedTable(at)} order by id`)
  return (rows as readonly { readonly name: string }[]).map(({ name }) => name)
}

interface ComparedRun {
  readonly at: HistoryTable
  readonly metadataTable: HistoryTable
  readonly run: RecordedRun
  readonly history: readonly string[]
}

/** Returns the migrations that a database lacks. @throws `schema-conflict` if its history is of others */
async function lackingOfTypeOrm(
  session: SchemaSession,
  { at, metadataTable, run, history }: ComparedRun,
): Promise<readonly SchemaChange[] | 'newer'> {
  const files = run.migrations.map((it) => ({ ...it, file: it.name }))
  const lacking = lackingOf({
    files,
    rows: history,
    find: (row) => files.find(({ name }) => name === row),
    nameOf: (row) => row,
    hint: 'let "typeorm migration:generate" make new ones.',
  })
  if (lacking === 'newer') return lacking
  const before = lacking.missing.length === 0 ? [] : await lackingBefore(session, run, metadataTable)
  return lacking.missing.map((migration, i) => ({
    name: migration.name,
    apply: async (on: SchemaSession) => {
      await runMigration(on, migration.name, [...(i === 0 ? before : []), ...migration.statements])
      await on.script([historyStatement(at, migration)])
    },
  }))
}

/** Returns what TypeORM sends before migrations, where a database lacks it. */
async function lackingBefore(
  session: SchemaSession,
  { extensions, metadataTable }: RecordedRun,
  metadata: HistoryTable,
): Promise<readonly string[]> {
  const { rows } = await session.query('select extname as name from pg_catalog.pg_extension')
  const present = new Set((rows as readonly { readonly name: string }[]).map(({ name }) => `"${name}"`))
  const created = extensions.filter((statement) => !present.has(/"[^"]+"/.exec(statement)?.[0] ?? ''))
  if (metadataTable === undefined || (await columnsOf(session, metadata)).length > 0) return created
  return [...created, metadataTable]
}
