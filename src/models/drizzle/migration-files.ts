import * as v from 'valibot'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { TenantryError, messageOf } from '../../kernel/errors.ts'

/** The layout of a generated folder: `meta/_journal.json` until drizzle-kit 0.31, a folder for each migration from 1.0. */
export type Layout = 'journal' | 'folders'

/** One generated migration. */
export interface GeneratedMigration {
  /** Its file, in the folder. */
  readonly file: string
  /** The name by which Drizzle 1.0 records it. */
  readonly name: string
  /** Its time, in milliseconds: `created_at` in the history. */
  readonly when: number
  /** The SQL, with line feeds alone: a checkout may write others. */
  readonly text: string
}

/** The migrations of a folder, in the order in which Drizzle applies them. */
export interface GeneratedMigrations {
  readonly layout: Layout
  readonly migrations: readonly GeneratedMigration[]
}

/** Reads a folder that drizzle-kit generated. @throws `models-invalid` */
export async function readGenerated(folder: string): Promise<GeneratedMigrations> {
  try {
    const journal = await readOptional(join(folder, 'meta', '_journal.json'))
    const read = journal === undefined ? await readFolders(folder) : await readJournal(folder, journal)
    if (read.migrations.length > 0) return read
    throw generatedError(`${resolve(folder)} has no migrations.`)
  } catch (error) {
    throw error instanceof TenantryError
      ? error
      : generatedError(`The migrations cannot be read: ${messageOf(error)}`, error)
  }
}

async function readOptional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const journalSchema = v.object({
  dialect: v.picklist(['postgresql', 'pg']),
  entries: v.array(v.object({ tag: v.string(), when: v.number() })),
})

async function readJournal(folder: string, journal: string): Promise<GeneratedMigrations> {
  const { entries } = v.parse(journalSchema, JSON.parse(journal))
  const migrations = await Promise.all(
    entries.map(({ tag, when }) => readMigration(folder, { file: `${tag}.sql`, name: tag, when })),
  )
  const twice = migrations.find(({ when }, i) => migrations.findIndex((it) => it.when === when) < i)
  if (twice === undefined) return { layout: 'journal', migrations }
  throw generatedError(`${twice.file} has the same "when" in meta/_journal.json as another migration.`)
}

const stamped = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/

async function readFolders(folder: string): Promise<GeneratedMigrations> {
  const names = (await readdir(folder)).filter((name) => stamped.test(name))
  const migrations = await Promise.all(
    names
      .toSorted((one, other) => one.localeCompare(other))
      .map((name) => readMigration(folder, { file: `${name}/migration.sql`, name, when: timeOf(name) })),
  )
  return { layout: 'folders', migrations }
}

function timeOf(name: string): number {
  return Date.parse(name.replace(stamped, '$1-$2-$3T$4:$5:$6Z/').split('/')[0] ?? '')
}

async function readMigration(folder: string, it: Omit<GeneratedMigration, 'text'>): Promise<GeneratedMigration> {
  return { ...it, text: (await readFile(join(folder, it.file), 'utf8')).replaceAll('\r\n', '\n') }
}

function generatedError(message: string, cause?: unknown): TenantryError {
  return new TenantryError('models-invalid', message, {
    cause,
    hint: "Give drizzle() the `out` folder of drizzle.config.ts, after npx drizzle-kit generate: drizzle({ schema, migrations: './drizzle' }).",
  })
}
