import { TenantryError } from '../../kernel/errors.ts'
import { columnsOf, type HistoryTable, qualifiedTable } from '../migrations/history-table.ts'
import type { SchemaSession } from '../port.ts'

/** One migration of a folder. */
export interface SqlFile {
  /** Its path in the folder. */
  readonly file: string
  /** The name by which the history knows it. */
  readonly name: string
  /** The SQL to run, on the lines that it has in the file. */
  readonly text: string
  /** The checksum in the history. Tools without checksums compare none. */
  readonly checksum?: string
  /** True if the tool runs it outside of a transaction. */
  readonly isOutside?: boolean
  /** True if it is applied again whenever it was changed, after all others. */
  readonly isRepeatable?: boolean
}

/** A row of a history. */
export interface AppliedFile {
  readonly name: string
  /** Absent or null if that is not known. */
  readonly checksum?: string | null
  readonly isRepeatable?: boolean
}

/** The files and the history of one tool. */
export interface Layout {
  /** The table of the history, unless it is no table. */
  readonly table?: string
  /** True if the tool reads the files of folders in the folder as well. */
  readonly isNested?: boolean
  /** True for a file that the tool runs; it ignores others. */
  isMigration(file: string): boolean
  /**
   * Reads a file, whose text has line feeds alone.
   *
   * @param settings the text of the file beside it whose name ends in `.conf`; empty if there is none
   * @throws `models-invalid` if the tool would refuse it
   */
  read(file: string, text: string, settings: string): SqlFile
  /** Compares two files by the order in which the tool runs them. */
  compare(one: SqlFile, other: SqlFile): number
  /** Returns the statements that make an empty history. */
  create(at: HistoryTable): readonly string[]
  /** Returns the statements that add files to the history of others. */
  record(at: HistoryTable, added: readonly SqlFile[], before: readonly SqlFile[]): readonly string[]
  /** Returns the history of a database in its order; undefined if it has none. */
  applied(
    session: SchemaSession,
    at: HistoryTable,
    files: readonly SqlFile[],
  ): Promise<readonly AppliedFile[] | undefined>
}

/** Returns the rows of a history; undefined if there is no such table. `clauses` follow FROM. */
export async function historyRows<Row>(
  session: SchemaSession,
  at: HistoryTable,
  columns: string,
  clauses: string,
): Promise<readonly Row[] | undefined> {
  if ((await columnsOf(session, at)).length === 0) return undefined
  const { rows } = await session.query(`select ${columns} from ${qualifiedTable(at)} ${clauses}`)
  return rows as readonly Row[]
}

/** The error of a file that cannot be used. */
export function fileError(file: string, line: number, reason: string): TenantryError {
  return new TenantryError('models-invalid', `${file}, line ${line}: ${reason}.`, {
    hint: 'Correct the file, or give sqlFiles() the layout that the folder has.',
  })
}

/** Returns the number of the line at a place in a text, from 1. */
export function lineAt(text: string, place: number): number {
  return text.slice(0, place).split('\n').length
}

/** Returns a part of a text, with empty lines in place of those before it. */
export function onItsLines(text: string, start: number, end?: number): string {
  return '\n'.repeat(lineAt(text, start) - 1) + text.slice(start, end)
}
