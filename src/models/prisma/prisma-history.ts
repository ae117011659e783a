import { quoteText } from '../../kernel/quoting.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import { type HistoryTable, qualifiedTable } from '../migrations/history-table.ts'
import type { SchemaSession } from '../port.ts'
import type { PrismaMigration } from './migrations-folder.ts'

/** A row of Prisma's table of applied migrations. */
export interface PrismaRow {
  readonly name: string
  readonly checksum: string
}

/** Prisma's table, in the schema to which it connects. */
export const prismaTable: HistoryTable = { schema: 'public', table: '_prisma_migrations' }

const table = qualifiedTable(prismaTable)

/** The statement that makes the table as Prisma does. */
export const createPrismaTable = `create table ${table} (
  id varchar(36) primary key not null,
  checksum varchar(64) not null,
  finished_at timestamptz,
  migration_name varchar(255) not null,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz not null default now(),
  applied_steps_count integer not null default 0
)`

/** Returns the statement that records a migration. Prisma orders rows by the time, which now() would make the same. */
export function recordRow({ name, text }: PrismaMigration): string {
  return `insert into ${table} (id, checksum, started_at, finished_at, migration_name, applied_steps_count)
    values (gen_random_uuid(), '${sha256(text)}', clock_timestamp(), clock_timestamp(), ${quoteText(name)}, 1)`
}

/**
 * Returns the migrations that a database has; undefined if it has no table of them.
 *
 * @throws `schema-conflict` if Prisma began one and did not finish it
 */
export async function readPrismaHistory(session: SchemaSession): Promise<readonly PrismaRow[] | undefined> {
  const { rows: found } = await session.query('select 1 where pg_catalog.to_regclass($1) is not null', [table])
  if (found.length === 0) return undefined
  // Ones that were rolled back are kept for reference, and tried again in rows of their own.
  const { rows } = await session.query(
    `select migration_name as name, checksum, finished_at is not null as "isFinished"
     from ${table} where rolled_back_at is null order by started_at`,
  )
  const all = rows as readonly (PrismaRow & { readonly isFinished: boolean })[]
  const failed = all.find(({ isFinished }) => !isFinished)
  if (failed !== undefined) throw failedError(failed.name)
  return all
}

function failedError(name: string): TenantryError {
  return new TenantryError('schema-conflict', `The migration ${name} failed in the database, or is still running.`, {
    hint: `No table was changed. Find its error in ${prismaTable.table}, repair the database, and run npx prisma migrate resolve --rolled-back ${name}, or --applied if all of it is there.`,
  })
}
