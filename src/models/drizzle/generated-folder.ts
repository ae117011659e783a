import { sha256 } from '../../kernel/hash.ts'
import type { HistoryTable } from '../migrations/history-table.ts'
import { lackingOf } from '../migrations/lacking.ts'
import { runFile } from '../migrations/run-file.ts'
import type { SchemaChange, SchemaSource } from '../port.ts'
import { type GeneratedMigration, type GeneratedMigrations, readGenerated } from './migration-files.ts'
import {
  type AppliedRow,
  type History,
  historyStatements,
  readHistory,
  recordStatement,
  upgradeStatements,
} from './migration-history.ts'

/**
 * Reads the migrations that drizzle-kit generated. They are applied as Drizzle's migrator does, and recorded in its
 * table. Unlike it, a file that was changed after a database had it, or that comes too late, is refused. The folder is
 * read once.
 */
export function generatedFolder(folder: string, at: HistoryTable): SchemaSource {
  let reading: Promise<GeneratedMigrations> | undefined
  const generated = () => (reading ??= readGenerated(folder))
  return {
    defaultSchema: 'public',
    history: at,
    fingerprint: async () => {
      const { layout, migrations } = await generated()
      return sha256(
        JSON.stringify([
          at.schema,
          at.table,
          layout,
          ...migrations.map(({ name, when, text }) => [name, when, sha256(text)]),
        ]),
      )
    },
    create: async (session) => {
      const { layout, migrations } = await generated()
      for (const { file, text } of migrations)
        await runFile(session, { file, parts: unguarded(text).split(breakpoint), between: breakpoint })
      const records = migrations.map((migration) => recordStatement(at, layout, migration))
      await session.script([...historyStatements(at, layout), ...records])
    },
    pending: async (session) => lackingChanges(at, await generated(), await readHistory(session, at)),
  }
}

const breakpoint = '--> statement-breakpoint'

/**
 * Older versions of drizzle-kit hid enums and foreign keys in DO blocks that ignore one that exists. In an empty database
 * none does, and what a block creates cannot be read from its text.
 */
function unguarded(text: string): string {
  return text.replaceAll(/^DO \$\$ BEGIN\n(.*?;)\nEXCEPTION\n\s*WHEN duplicate_object THEN null;\nEND \$\$;?$/gms, '$1')
}

/** Returns the changes that a database lacks. @throws `schema-conflict` if its history is of other migrations */
function lackingChanges(
  at: HistoryTable,
  generated: GeneratedMigrations,
  history: History | undefined,
): readonly SchemaChange[] | 'newer' | undefined {
  if (history === undefined) return undefined
  const { layout, migrations: files } = generated
  const lacking = lackingOf({
    files,
    rows: history.rows,
    find: (row) => findMigration(generated, row),
    isUnchanged,
    // Drizzle before 1.0 never applies it.
    overtakes: (other, file) => other.when >= file.when,
    nameOf: ({ name, when }) => name ?? `the one of ${new Date(when).toISOString()}`,
    hint: 'generate new ones last, with npx drizzle-kit generate.',
  })
  if (lacking === 'newer') return lacking
  const upgrade = { name: `${at.schema}.${at.table}`, apply: upgrading(at, lacking.applied) }
  return [
    ...(layout === 'folders' && history.layout === 'journal' ? [upgrade] : []),
    ...lacking.missing.map(changeOf(at, layout)),
  ]
}

/** Finds the migration of a row as Drizzle does. Times of folders have no milliseconds. */
function findMigration({ layout, migrations }: GeneratedMigrations, row: AppliedRow): GeneratedMigration | undefined {
  if (layout === 'journal') return migrations.find(({ when }) => when === row.when)
  if (row.name !== null) return migrations.find(({ name }) => name === row.name)
  const found = migrations.filter(({ when }) => when === row.when - (row.when % 1000))
  return found.length > 1 ? found.find((it) => isUnchanged(it, row)) : found[0]
}

/** True if a file is the applied one, with line ends of either kind. */
function isUnchanged({ text }: GeneratedMigration, { hash }: AppliedRow): boolean {
  return hash === sha256(text) || hash === sha256(text.replaceAll('\n', '\r\n'))
}

function upgrading(at: HistoryTable, applied: ReadonlyMap<GeneratedMigration, AppliedRow>): SchemaChange['apply'] {
  return (session) => session.script(upgradeStatements(at, applied))
}

function changeOf(
  at: HistoryTable,
  layout: GeneratedMigrations['layout'],
): (migration: GeneratedMigration) => SchemaChange {
  return (migration) => ({
    name: migration.file,
    apply: async (session) => {
      const { file, text } = migration
      await runFile(session, { file, parts: text.split(breakpoint), between: breakpoint })
      await session.script([recordStatement(at, layout, migration)])
    },
  })
}
