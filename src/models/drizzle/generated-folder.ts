import { TenantryError, explained } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import type { SchemaChange, SchemaSession, SchemaSource } from '../port.ts'
import { type GeneratedMigration, type GeneratedMigrations, readGenerated } from './migration-files.ts'
import {
  type AppliedRow,
  type History,
  historyStatements,
  type HistoryTable,
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
      for (const migration of migrations) await runFile(session, { ...migration, text: unguarded(migration.text) })
      const records = migrations.map((migration) => recordStatement(at, layout, migration))
      await session.script([...historyStatements(at, layout), ...records])
    },
    pending: async (session) => lackingChanges(at, await generated(), await readHistory(session, at)),
  }
}

const breakpoint = '--> statement-breakpoint'

/** Runs the statements of a file one by one. @throws the error of a statement, with its file and line */
async function runFile(session: SchemaSession, { file, text }: GeneratedMigration): Promise<void> {
  let before = ''
  for (const part of text.split(breakpoint)) {
    const statement = part.trim()
    const line = `${before}${part.slice(0, part.indexOf(statement))}`.split('\n').length
    try {
      await session.script([part])
    } catch (error) {
      if (!(error instanceof TenantryError)) throw error
      const { code, message, hint, retryable } = error
      const at = `${file}, line ${line}: ${message}\nThe statement: ${beginningOf(statement)}`
      throw explained(error, code, at, { ...(hint !== undefined && { hint }), retryable })
    }
    before += part + breakpoint
  }
}

function beginningOf(statement: string): string {
  return statement.length > 200 ? `${statement.slice(0, 200)}...` : statement
}

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
  const { layout, migrations } = generated
  const applied = new Map<GeneratedMigration, AppliedRow>()
  const unknown: AppliedRow[] = []
  for (const row of history.rows) {
    const migration = findMigration(generated, row)
    if (migration === undefined) unknown.push(row)
    else if (isUnchanged(migration, row)) applied.set(migration, row)
    else throw historyConflict(`${migration.file} was changed after the database had it`)
  }
  const missing = migrations.filter((it) => !applied.has(it))
  refuseLate(generated, applied, missing)
  const newest = Math.max(...migrations.map(({ when }) => when))
  const gone = unknown.find(({ when }) => missing.length > 0 || when <= newest)
  if (gone !== undefined)
    throw historyConflict(`the database has ${gone.name ?? `the one of ${nameOfTime(gone)}`}, which the folder lacks`)
  if (unknown.length > 0) return 'newer'
  const upgrade = { name: `${at.schema}.${at.table}`, apply: upgrading(at, applied) }
  return [
    ...(layout === 'folders' && history.layout === 'journal' ? [upgrade] : []),
    ...missing.map(changeOf(at, layout)),
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

/** Refuses a migration that others overtook: Drizzle before 1.0 never applies it. @throws `schema-conflict` */
function refuseLate(
  { migrations }: GeneratedMigrations,
  applied: ReadonlyMap<GeneratedMigration, AppliedRow>,
  missing: readonly GeneratedMigration[],
): void {
  for (const [i, late] of migrations.entries()) {
    if (!missing.includes(late)) continue
    const overtaking = migrations.find((it, other) => applied.has(it) && (other > i || it.when >= late.when))
    if (overtaking !== undefined)
      throw historyConflict(`${late.file} comes before ${overtaking.file}, which the database has already`)
  }
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
      await runFile(session, migration)
      await session.script([recordStatement(at, layout, migration)])
    },
  })
}

function nameOfTime({ when }: AppliedRow): string {
  return new Date(when).toISOString()
}

function historyConflict(reason: string): TenantryError {
  return new TenantryError('schema-conflict', `The history of the database is not that of the migrations: ${reason}.`, {
    hint: 'No table was changed. Leave files as they are once a database has them, and generate new ones last, with npx drizzle-kit generate.',
  })
}
