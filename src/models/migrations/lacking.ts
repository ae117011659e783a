import { TenantryError } from '../../kernel/errors.ts'

/** Migrations in their order, and the history of a database in its own. */
export interface ComparedHistory<File extends { readonly file: string }, Row> {
  readonly files: readonly File[]
  readonly rows: readonly Row[]
  /** Returns the migration that a row records. */
  readonly find: (row: Row) => File | undefined
  /** False if the migration was changed after the row was written. Default: that cannot be known. */
  readonly isUnchanged?: (file: File, row: Row) => boolean
  /** True if a migration cannot be applied after another, in addition to those that come before it. */
  readonly overtakes?: (other: File, file: File) => boolean
  /** The name of a row's migration, for messages. */
  readonly nameOf: (row: Row) => string
  /** Completes the hint of the error: how new migrations are made. */
  readonly hint: string
}

/** The migrations that a database has, with their rows, and those that it lacks. */
export interface Lacking<File, Row> {
  readonly applied: ReadonlyMap<File, Row>
  readonly missing: readonly File[]
}

/**
 * Compares the history of a database with the migrations.
 *
 * @returns `newer` if the database has all of them, and later ones
 * @throws `schema-conflict` if one was changed, removed, or comes too late
 */
export function lackingOf<File extends { readonly file: string }, Row>(
  compared: ComparedHistory<File, Row>,
): Lacking<File, Row> | 'newer' {
  const { files, rows, find, isUnchanged = () => true, nameOf, hint } = compared
  const applied = new Map<File, Row>()
  const unknown: { readonly row: Row; readonly isLater: boolean }[] = []
  const known = rows.map(find)
  const last = known.findLastIndex((file) => file !== undefined)
  for (const [i, row] of rows.entries()) {
    const file = known[i]
    if (file === undefined) unknown.push({ row, isLater: i > last })
    else if (isUnchanged(file, row)) applied.set(file, row)
    else throw historyConflict(`${file.file} was changed after the database had it`, hint)
  }
  const missing = files.filter((it) => !applied.has(it))
  refuseLate(compared, applied)
  const gone = unknown.find(({ isLater }) => missing.length > 0 || !isLater)
  if (gone !== undefined) throw historyConflict(`the database has ${nameOf(gone.row)}, which the folder lacks`, hint)
  return unknown.length > 0 ? 'newer' : { applied, missing }
}

/** Refuses a migration that another one overtook: most tools never apply it. @throws `schema-conflict` */
function refuseLate<File extends { readonly file: string }, Row>(
  { files, overtakes = () => false, hint }: ComparedHistory<File, Row>,
  applied: ReadonlyMap<File, Row>,
): void {
  for (const [i, late] of files.entries()) {
    if (applied.has(late)) continue
    const overtaking = files.find((it, other) => applied.has(it) && (other > i || overtakes(it, late)))
    if (overtaking !== undefined)
      throw historyConflict(`${late.file} comes before ${overtaking.file}, which the database has already`, hint)
  }
}

function historyConflict(reason: string, hint: string): TenantryError {
  return new TenantryError('schema-conflict', `The history of the database is not that of the migrations: ${reason}.`, {
    hint: `No table was changed. Leave files as they are once a database has them, and ${hint}`,
  })
}
