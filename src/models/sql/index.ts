import * as v from 'valibot'
import { quoteName } from '../../kernel/quoting.ts'
import { sha256 } from '../../kernel/hash.ts'
import { identifier, must, oneOf, optionsOf, readOptions } from '../../kernel/options.ts'
import { folderOrUrl, folderPath } from '../migrations/folder.ts'
import type { HistoryTable } from '../migrations/history-table.ts'
import { lackingOf } from '../migrations/lacking.ts'
import { runFile } from '../migrations/run-file.ts'
import type { SchemaChange, SchemaSession, SchemaSource } from '../port.ts'
import { dbmate } from './dbmate.ts'
import { readFiles } from './files.ts'
import { flyway } from './flyway.ts'
import { goose } from './goose.ts'
import type { AppliedFile, Layout, SqlFile } from './layout.ts'
import { nodePgMigrate } from './node-pg-migrate.ts'
import { plain } from './plain.ts'

export type { SchemaSource } from '../port.ts'

const layouts = { plain, dbmate, 'node-pg-migrate': nodePgMigrate, goose, flyway } as const satisfies Record<
  string,
  Layout
>

/** Options of {@link sqlFiles}. */
export interface SqlFilesOptions {
  /** The schema of the tables that name none. Default `public`. */
  readonly defaultSchema?: string
  /** The tool whose files and history these are. Default `plain`: none; the files are SQL and nothing else. */
  readonly layout?: keyof typeof layouts
  /** The table of the tool's history, if its configuration names one. Default: the tool's own. */
  readonly historyTable?: string
  /** The schema of that table. Default: that of `defaultSchema`. */
  readonly historySchema?: string
}

/**
 * Reads the tables of a service from a folder of SQL files: its migrations, in the order of their names, numbers by their
 * value (`2_users.sql` before `10_notes.sql`). A database keeps a history of those that it has, in the comment of a
 * schema named `tenantry_migrations`, which only its owner can write.
 *
 * With another `layout`, the files are those of a tool, in its order, and the history is the tool's own table, so that the
 * tool and Tenantry agree on it.
 *
 * All files run in one transaction. None may begin or end one, unless its tool runs it outside of one: then BEGIN and
 * COMMIT are left out. Indexes are created and dropped without CONCURRENTLY. The folder is read once.
 *
 * @param folder a path, or a URL such as `new URL('migrations/', import.meta.url)`
 * @throws `invalid-option`; a folder that cannot be used is reported as `models-invalid` by the first call that needs it
 */
export function sqlFiles(folder: string | URL, options: SqlFilesOptions = {}): SchemaSource {
  const path = folderPath(readOptions('The folder of sqlFiles()', folderSchema, folder))
  const read = readOptions('sqlFiles', schema, options)
  const { defaultSchema = 'public', layout: name = 'plain' } = read
  const layout: Layout = layouts[name]
  const at = { schema: read.historySchema ?? defaultSchema, table: read.historyTable ?? layout.table ?? '' }
  const history = layout.table === undefined ? {} : { history: at }
  let reading: Promise<readonly SqlFile[]> | undefined
  const files = () => (reading ??= readFiles(path, layout))
  return {
    defaultSchema,
    ...history,
    fingerprint: async () => {
      const all = (await files()).map(({ name: it, text, checksum }) => [it, sha256(text), checksum])
      return sha256(JSON.stringify([name, history, ...all]))
    },
    create: async (session) => {
      const all = await files()
      for (const file of all) await applyFile(session, file)
      await session.script([...newHistory(layout, at, defaultSchema), ...layout.record(at, all, [])])
    },
    pending: async (session) => {
      const all = await files()
      return lackingFiles(layout, at, all, await layout.applied(session, at, all))
    },
  }
}

const schema = v.pipe(
  optionsOf<SqlFilesOptions>({
    defaultSchema: identifier('default schema'),
    layout: oneOf(Object.keys(layouts) as (keyof typeof layouts)[]),
    historyTable: identifier('table of the history'),
    historySchema: identifier('schema of the history'),
  }),
  v.check(
    ({ layout = 'plain', historyTable, historySchema }) =>
      layout !== 'plain' || (historyTable ?? historySchema) === undefined,
    must('with a layout where a historyTable or historySchema is given', 'The plain layout has no table.'),
  ),
)

const folderSchema = folderOrUrl("Write sqlFiles('migrations').")

function applyFile(session: SchemaSession, { file, text, isOutside = false }: SqlFile): Promise<void> {
  return runFile(session, { file, parts: [text], isOutside })
}

function newHistory(layout: Layout, at: HistoryTable, defaultSchema: string): readonly string[] {
  const own = at.schema === defaultSchema ? [] : [`create schema if not exists ${quoteName(at.schema)}`]
  return [...own, ...layout.create(at)]
}

/** Returns the files that a database lacks. @throws `schema-conflict` if its history is of other migrations */
function lackingFiles(
  layout: Layout,
  at: HistoryTable,
  files: readonly SqlFile[],
  rows: readonly AppliedFile[] | undefined,
): readonly SchemaChange[] | 'newer' | undefined {
  if (rows === undefined) return undefined
  const lacking = lackingOf({
    files: files.filter(({ isRepeatable }) => isRepeatable !== true),
    rows: rows.filter(({ isRepeatable }) => isRepeatable !== true),
    find: (row) => files.find(({ name }) => name === row.name),
    isUnchanged: ({ checksum }, row) => (row.checksum ?? checksum) === checksum,
    nameOf: ({ name }) => name,
    hint: 'name new ones such that they come last.',
  })
  if (lacking === 'newer') return lacking
  const changed = files.filter(
    ({ isRepeatable, name, checksum }) =>
      isRepeatable === true && rows.findLast((row) => row.name === name)?.checksum !== checksum,
  )
  const missing = [...lacking.missing, ...changed]
  const before = files.filter((file) => !missing.includes(file))
  return missing.map((file, i) => ({
    name: file.file,
    apply: async (session: SchemaSession) => {
      await applyFile(session, file)
      await session.script(layout.record(at, [file], [...before, ...missing.slice(0, i)]))
    },
  }))
}
