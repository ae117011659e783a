import { sha256 } from '../../kernel/hash.ts'
import { lackingOf } from '../migrations/lacking.ts'
import { runFile } from '../migrations/run-file.ts'
import type { SchemaChange, SchemaSession, SchemaSource } from '../port.ts'
import { type PrismaMigration, readMigrations } from './migrations-folder.ts'
import { createPrismaTable, type PrismaRow, prismaTable, readPrismaHistory, recordRow } from './prisma-history.ts'

/**
 * Reads the migrations of Prisma. They are applied in its order, and recorded in its table. Unlike Prisma, a file that
 * was changed after a database had it, or that comes too late, is refused. The folder is read once.
 */
export function migrationsSource(folder: string): SchemaSource {
  let reading: Promise<readonly PrismaMigration[]> | undefined
  const migrations = () => (reading ??= readMigrations(folder))
  return {
    defaultSchema: 'public',
    history: prismaTable,
    fingerprint: async () =>
      sha256(JSON.stringify((await migrations()).map(({ name, text }) => [name, sha256(withLineFeeds(text))]))),
    create: async (session) => {
      await session.script([createPrismaTable])
      for (const migration of await migrations()) await applyMigration(session, migration, { isEmpty: true })
    },
    pending: async (session) => pendingMigrations(await migrations(), await readPrismaHistory(session)),
  }
}

async function applyMigration(
  session: SchemaSession,
  migration: PrismaMigration,
  { isEmpty }: { readonly isEmpty: boolean },
): Promise<void> {
  const { file, text } = migration
  // Prisma sends a file as one script, outside of a transaction.
  await runFile(session, { file, parts: [text], isOutside: true, isEmpty })
  await session.script([recordRow(migration)])
}

/** Returns the changes that a database lacks. @throws `schema-conflict` if its history is of other migrations */
function pendingMigrations(
  files: readonly PrismaMigration[],
  rows: readonly PrismaRow[] | undefined,
): readonly SchemaChange[] | 'newer' | undefined {
  if (rows === undefined) return undefined
  const lacking = lackingOf({
    files,
    rows,
    find: (row) => files.find(({ name }) => name === row.name),
    isUnchanged: hasChecksum,
    nameOf: ({ name }) => name,
    hint: 'let npx prisma migrate dev make new ones.',
  })
  if (lacking === 'newer') return lacking
  return lacking.missing.map((migration) => ({
    name: migration.name,
    apply: (session) => applyMigration(session, migration, { isEmpty: false }),
  }))
}

/** True if a file is the applied one, with line ends of either kind: a checkout may write others. */
function hasChecksum({ text }: PrismaMigration, { checksum }: PrismaRow): boolean {
  const lines = withLineFeeds(text)
  return [text, lines, lines.replaceAll('\n', '\r\n')].some((it) => sha256(it) === checksum)
}

function withLineFeeds(text: string): string {
  return text.replaceAll('\r\n', '\n')
}
