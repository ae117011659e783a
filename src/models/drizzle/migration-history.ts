import { quoteName, quoteText } from '../../kernel/quoting.ts'
import { sha256 } from '../../kernel/hash.ts'
import { columnsOf, type HistoryTable, qualifiedTable } from '../migrations/history-table.ts'
import type { SchemaSession } from '../port.ts'
import type { GeneratedMigration, Layout } from './migration-files.ts'

/** A row of Drizzle's table of applied migrations. */
export interface AppliedRow {
  /** The SHA-256 of the file. */
  readonly hash: string
  /** The migration's own time, in milliseconds. */
  readonly when: number
  /** Null in a table of Drizzle before 1.0. */
  readonly name: string | null
}

/** The migrations that a database has. */
export interface History {
  /** The layout whose migrator made the table. */
  readonly layout: Layout
  readonly rows: readonly AppliedRow[]
}

/** Returns the statements that make Drizzle's table as its migrator does. */
export function historyStatements(at: HistoryTable, layout: Layout): readonly string[] {
  const added = layout === 'folders' ? ', name text, applied_at timestamp with time zone default now()' : ''
  return [
    `create schema if not exists ${quoteName(at.schema)}`,
    `create table if not exists ${qualifiedTable(at)} (id serial primary key, hash text not null, created_at bigint${added})`,
  ]
}

/** Returns the statement that records a migration. */
export function recordStatement(at: HistoryTable, layout: Layout, { name, when, text }: GeneratedMigration): string {
  const values = `'${sha256(text)}', ${when}`
  return layout === 'folders'
    ? `insert into ${qualifiedTable(at)} (hash, created_at, name) values (${values}, ${quoteText(name)})`
    : `insert into ${qualifiedTable(at)} (hash, created_at) values (${values})`
}

/** Returns the migrations that a database has; undefined if it has no table of them. */
export async function readHistory(session: SchemaSession, at: HistoryTable): Promise<History | undefined> {
  const columns = await columnsOf(session, at)
  if (columns.length === 0) return undefined
  const layout = columns.includes('name') ? 'folders' : 'journal'
  const name = layout === 'folders' ? 'name' : 'null'
  const { rows } = await session.query(
    `select hash, created_at::float8 as "when", ${name} as name from ${qualifiedTable(at)} order by created_at, id`,
  )
  return { layout, rows: rows as readonly AppliedRow[] }
}

/** Returns the statements that give an older table the columns of Drizzle 1.0, as its migrator does. */
export function upgradeStatements(
  at: HistoryTable,
  applied: ReadonlyMap<GeneratedMigration, AppliedRow>,
): readonly string[] {
  return [
    `alter table ${qualifiedTable(at)} add column name text, add column applied_at timestamp with time zone default now()`,
    ...[...applied].map(
      ([{ name }, { when }]) =>
        `update ${qualifiedTable(at)} set name = ${quoteText(name)}, applied_at = null where created_at = ${when}`,
    ),
  ]
}
