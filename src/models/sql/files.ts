import { readdir, readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { TenantryError, messageOf } from '../../kernel/errors.ts'
import type { Layout, SqlFile } from './layout.ts'

/** Reads the migrations of a folder, in their order. @throws `models-invalid` */
export async function readFiles(folder: string, layout: Layout): Promise<readonly SqlFile[]> {
  try {
    const entries = await readdir(folder, { recursive: layout.isNested === true, withFileTypes: true })
    const names = entries
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => relative(folder, join(parentPath, name)).replaceAll('\\', '/'))
    const textOf = async (name: string) => plainLines(await readFile(join(folder, name), 'utf8'))
    const files = await Promise.all(
      names
        .filter((name) => layout.isMigration(name))
        .map(async (name) => {
          const settings = `${name}.conf`
          return layout.read(name, await textOf(name), names.includes(settings) ? await textOf(settings) : '')
        }),
    )
    if (files.length === 0) throw folderError(`${resolve(folder)} has no migrations.`)
    const sorted = files.toSorted((one, other) => layout.compare(one, other))
    const twice = sorted.find(({ name }, i) => sorted.findIndex((it) => it.name === name) < i)
    if (twice === undefined) return sorted
    throw folderError(`${twice.file} has the same number as another migration, and would never be applied.`)
  } catch (error) {
    if (error instanceof TenantryError) throw error
    throw folderError(`The migrations cannot be read: ${messageOf(error)}.`, error)
  }
}

/** A checkout may write other line ends, and an editor a byte order mark. */
function plainLines(text: string): string {
  if (text.includes('\0')) throw folderError('A file of the migrations is not in UTF-8.')
  return text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
}

function folderError(message: string, cause?: unknown): TenantryError {
  return new TenantryError('models-invalid', message, {
    cause,
    hint: "Give sqlFiles() the folder of the migrations: sqlFiles(new URL('migrations/', import.meta.url)).",
  })
}
