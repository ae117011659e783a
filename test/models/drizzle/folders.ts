import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { Client } from 'pg'
import { queryIn } from '../../start-up/support.ts'
import { afterwards, serverUrl } from '../../support/server.ts'

/** Migrations by their tags, in the order of the journal; `when` of each is its place, unless it is given. */
export type Migrations = Readonly<Record<string, string | { readonly sql: string; readonly when: number }>>

/** Makes a folder as drizzle-kit 0.31 generates it. */
export async function journalFolder(migrations: Migrations): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-drizzle-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  await writeJournal(folder, migrations)
  return folder
}

/** Replaces what a folder has. */
export async function writeJournal(folder: string, migrations: Migrations): Promise<void> {
  const all = Object.entries(migrations).map(([tag, it], i) => ({
    tag,
    when: (i + 1) * 100_000,
    ...(typeof it === 'string' ? { sql: it } : it),
  }))
  const entries = all.map(({ tag, when }, idx) => ({ idx, version: '7', when, tag, breakpoints: true }))
  await writeAll(folder, {
    'meta/_journal.json': JSON.stringify({ version: '7', dialect: 'postgresql', entries }),
    ...Object.fromEntries(all.map(({ tag, sql }) => [`${tag}.sql`, sql])),
  })
}

/** Makes a folder as drizzle-kit 1.0 generates it, from the SQL by the names of its folders. */
export async function datedFolder(migrations: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantry-drizzle-'))
  afterwards(() => rm(folder, { recursive: true, force: true }))
  const files = Object.entries(migrations).map(([name, sql]) => [`${name}/migration.sql`, sql])
  await writeAll(folder, { ...Object.fromEntries(files), 'README.md': '' })
  return folder
}

async function writeAll(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
}

/** Runs Drizzle's own migrator on a database. */
export async function migrateByDrizzle(
  database: string,
  migrationsFolder: string,
  place: { readonly migrationsTable?: string; readonly migrationsSchema?: string } = {},
): Promise<void> {
  const client = new Client({ connectionString: serverUrl({ database }) })
  await client.connect()
  try {
    await migrate(drizzle({ client }), { migrationsFolder, ...place })
  } finally {
    await client.end()
  }
}

/** Returns the rows of Drizzle's table of applied migrations. */
export function historyIn(database: string): Promise<Record<string, unknown>[]> {
  return queryIn(database, 'select * from drizzle.__drizzle_migrations order by id')
}
