import type { RelationName } from '../../observation.ts'
import type { ReadingSession } from '../../structure.ts'

/** Returns the size in bytes of the largest of some tables. Statistics would not do: they are gone after a crash. */
export async function largestTable(session: ReadingSession, tables: readonly RelationName[]): Promise<number> {
  const { rows } = await session.query(sizeSql, [tables])
  const [row] = rows as readonly { readonly bytes: string }[]
  return Number(row?.bytes ?? 0)
}

const sizeSql = `
  select coalesce(max(pg_catalog.pg_table_size(c.oid)), 0) as bytes
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname || '.' || c.relname = any($1)`
