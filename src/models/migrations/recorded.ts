import { messageOf, TenantryError } from '../../kernel/errors.ts'
import type { SchemaChange, SchemaSession } from '../port.ts'
import { lackingOf } from './lacking.ts'
import { runMigration } from './run-file.ts'

/** A migration in code, as the statements that it sends. */
export interface RecordedMigration {
  readonly name: string
  readonly statements: readonly string[]
  /** True if its tool runs it outside of a transaction. */
  readonly isOutside?: boolean
}

/** Records migrations, twice: a fingerprint must be the same in every process. @throws `models-invalid` */
export async function recordTwice(
  record: () => Promise<readonly RecordedMigration[]>,
): Promise<readonly RecordedMigration[]> {
  const [first, again] = [await record(), await record()]
  for (const [i, { name, statements }] of first.entries())
    if (statements.join('\n') !== again[i]?.statements.join('\n')) throw changingError(name)
  return first
}

function changingError(name: string): TenantryError {
  return new TenantryError('models-invalid', `The migration ${name} sends other statements each time.`, {
    hint: 'Let PostgreSQL make random values and times, as by gen_random_uuid() and now().',
  })
}

/** Runs the statements of a migration in one round trip. @throws the error of one, with the migration's name */
export function runRecorded(
  session: SchemaSession,
  { name, statements, isOutside = false }: RecordedMigration,
): Promise<void> {
  return runMigration(session, name, statements, { isOutside })
}

/** The error of a migration that failed while it was recorded. */
export function recordingError(name: string, error: unknown): TenantryError {
  if (error instanceof TenantryError) return error
  return new TenantryError('models-invalid', `The migration ${name} failed: ${messageOf(error)}`, {
    cause: error,
    hint: 'It runs without a database, to record its statements: let it do nothing but send them.',
  })
}

/** The error of a migration that reads rows while it is recorded. */
export function readsRowsError(name: string): TenantryError {
  return new TenantryError('models-invalid', `The migration ${name} reads rows.`, {
    hint: 'Let SQL do the work, as by INSERT ... SELECT: the statements of migrations must be known without a database.',
  })
}

/** After comments and parentheses. */
const rowsStart =
  /^(?:\s|\(|--.*\n|\/\*[^]*?\*\/)*(?:select|with|values|table|show|explain|execute|fetch)\b|\breturning\b/i

/** True for a statement that returns rows. */
export function returnsRows(sql: string): boolean {
  return rowsStart.test(sql)
}

/**
 * Returns the changes that a database lacks.
 *
 * @param history the names of the migrations that it has; undefined if it has no table of them
 * @param rowOf returns the statement that records a migration, by its name and place
 * @throws `schema-conflict` if its history is of other migrations
 */
export function lackingRecorded(
  migrations: readonly RecordedMigration[],
  history: readonly string[] | undefined,
  rowOf: (name: string, index: number) => string,
): readonly SchemaChange[] | 'newer' | undefined {
  if (history === undefined) return undefined
  const files = migrations.map((it, index) => ({ ...it, file: it.name, index }))
  const lacking = lackingOf({
    files,
    rows: history,
    find: (row) => files.find(({ name }) => name === row),
    nameOf: (row) => row,
    hint: 'name new ones such that they come last.',
  })
  if (lacking === 'newer') return lacking
  return lacking.missing.map((migration) => ({
    name: migration.name,
    apply: async (session: SchemaSession) => {
      await runRecorded(session, migration)
      await session.script([rowOf(migration.name, migration.index)])
    },
  }))
}
