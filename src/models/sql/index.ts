import * as v from 'valibot'
import { sha256 } from '../../kernel/hash.ts'
import { fileURLToPath } from 'node:url'
import { TenantryError } from '../../kernel/errors.ts'
import { checked, identifier, optionsOf, readOptions } from '../../kernel/options.ts'
import type { SchemaChange, SchemaSession, SchemaSource } from '../port.ts'
import { type MigrationFile, readFiles } from './files.ts'
import { type Applied, historyOf, recordStatements } from './history.ts'

export type { SchemaSource } from '../port.ts'

/** Options of {@link sqlFiles}. */
export interface SqlFilesOptions {
  /** The schema of the tables that name none. Default `public`. */
  readonly defaultSchema?: string
}

/**
 * Reads the tables of a service from a folder of SQL files: its migrations, in the order of their names, numbers by their
 * value (`2_users.sql` before `10_notes.sql`). A database keeps a history of those that it has, in the comment of a
 * schema named `tenantry_migrations`, which only its owner can write.
 *
 * Each file is plain SQL that runs in a transaction, so that none begins or ends one, and none has CREATE INDEX
 * CONCURRENTLY. The folder is read once.
 *
 * @param folder a path, or a URL such as `new URL('migrations/', import.meta.url)`
 * @throws `invalid-option`; a folder that cannot be used is reported as `models-invalid` by the first call that needs it
 */
export function sqlFiles(folder: string | URL, options: SqlFilesOptions = {}): SchemaSource {
  const path = readOptions('The folder of sqlFiles()', folderSchema, folder)
  const { defaultSchema = 'public' } = readOptions('sqlFiles', schema, options)
  let reading: Promise<readonly MigrationFile[]> | undefined
  const files = () => (reading ??= readFiles(path))
  return {
    defaultSchema,
    fingerprint: async () => sha256(JSON.stringify((await files()).map(appliedOf))),
    create: async (session) => {
      const all = await files()
      await session.script([...all.map(({ text }) => text), ...recordStatements(all.map(appliedOf))])
    },
    pending: async (session) => pendingOf(await files(), await historyOf(session)),
  }
}

const schema = optionsOf<SqlFilesOptions>({ defaultSchema: identifier('default schema') })

const folderSchema = v.pipe(
  checked<string | URL>(
    (folder) => folder instanceof URL || (typeof folder === 'string' && folder !== ''),
    'a path or a file URL',
    "Write sqlFiles('migrations').",
  ),
  v.transform((folder) => (folder instanceof URL ? fileURLToPath(folder) : folder)),
)

function appliedOf({ name, text }: MigrationFile): Applied {
  return { name, checksum: sha256(text) }
}

/** Returns the files after those of a history. @throws `schema-conflict` if it is not of the first of them */
function pendingOf(
  files: readonly MigrationFile[],
  history: readonly Applied[] | undefined,
): readonly SchemaChange[] | 'newer' | undefined {
  if (history === undefined) return undefined
  const all = files.map(appliedOf)
  for (const [i, { name, checksum }] of history.slice(0, all.length).entries()) {
    const file = all[i]
    if (file?.name !== name)
      throw conflict(all.some((it) => it.name === name) ? laterFile(file, name) : missingFile(name))
    if (file.checksum !== checksum) throw conflict(`${name} was changed after the database had it`)
  }
  if (history.length > all.length) return 'newer'
  return files.slice(history.length).map(({ name, text }, i) => ({
    name,
    apply: async (session: SchemaSession) =>
      session.script([text, ...recordStatements(all.slice(0, history.length + i + 1))]),
  }))
}

function missingFile(name: string): string {
  return `the database has ${name}, which the folder lacks`
}

function laterFile(file: Applied | undefined, name: string): string {
  return `${file?.name} comes before ${name}, which the database has already`
}

function conflict(reason: string): TenantryError {
  return new TenantryError('schema-conflict', `The history of the database is not that of the migrations: ${reason}.`, {
    hint: 'No table was changed. Leave files as they are once a database has them, and name new ones such that they come last.',
  })
}
