import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { TenantryError, messageOf } from '../../kernel/errors.ts'

/** One migration. */
export interface MigrationFile {
  /** The name of its file. */
  readonly name: string
  /** The SQL, with line feeds alone: a checkout may write others. */
  readonly text: string
}

const numbers = new Intl.Collator('en', { numeric: true })
/** `1_a.sql` and `01_a.sql` are equal by their numbers alone. */
const byName = (one: string, other: string) => numbers.compare(one, other) || (one < other ? -1 : 1)

/** Reads the migrations of a folder, in their order. @throws `models-invalid` */
export async function readFiles(folder: string): Promise<readonly MigrationFile[]> {
  try {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).toSorted(byName)
    if (names.length === 0) throw folderError(`${resolve(folder)} has no file whose name ends with .sql.`)
    const down = names.find((name) => name.endsWith('.down.sql'))
    if (down !== undefined)
      throw folderError(`${down} would run as a migration: keep what undoes one in another folder.`)
    return await Promise.all(
      names.map(async (name) => ({
        name,
        text: (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n'),
      })),
    )
  } catch (error) {
    if (error instanceof TenantryError) throw error
    throw folderError(`The migrations cannot be read: ${messageOf(error)}.`, error)
  }
}

function folderError(message: string, cause?: unknown): TenantryError {
  return new TenantryError('models-invalid', message, {
    cause,
    hint: "Give sqlFiles() the folder of the migrations: sqlFiles(new URL('migrations/', import.meta.url)).",
  })
}
