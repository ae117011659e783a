import { quoteName } from '../../kernel/quoting.ts'
import type { SchemaSession } from '../port.ts'

/** The place of a table of applied migrations. */
export interface HistoryTable {
  readonly schema: string
  readonly table: string
}

/** Returns the names of a table's columns; none if there is no such table. */
export async function columnsOf(session: SchemaSession, at: HistoryTable): Promise<readonly string[]> {
  const { rows } = await session.query(
    `select attname as name from pg_catalog.pg_attribute
     where attrelid = pg_catalog.to_regclass($1) and attnum > 0 and not attisdropped`,
    [qualifiedTable(at)],
  )
  return (rows as readonly { readonly name: string }[]).map(({ name }) => name)
}

export function qualifiedTable({ schema, table }: HistoryTable): string {
  return `${quoteName(schema)}.${quoteName(table)}`
}
