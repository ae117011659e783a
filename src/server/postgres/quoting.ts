import { escapeIdentifier, escapeLiteral } from 'pg'
import type { Identifier } from '../../kernel/names.ts'

/** Returns a checked name as a quoted identifier in SQL. */
export function quoteIdentifier(name: Identifier): string {
  return escapeIdentifier(name)
}

/** Returns any text as a literal in SQL, for statements that take no parameters. */
export function quoteLiteral(text: string): string {
  return escapeLiteral(text)
}

/** Returns a DO block of PL/pgSQL statements. https://www.postgresql.org/docs/current/sql-do.html */
export function doBlock(statements: string): string {
  return `do ${quoteLiteral(`begin ${statements} end`)}`
}
