import type { Node, ParseResult } from 'libpg-query'
import { TenantryError, messageOf } from '../../kernel/errors.ts'

/** The circumstances of a migration. */
export interface Circumstances {
  /** True if its tool runs it outside of a transaction, so that it may have BEGIN and COMMIT of its own. */
  readonly isOutside?: boolean
  /** True if no other session is in the database. */
  readonly isEmpty?: boolean
}

/**
 * Returns the text of a migration for a transaction of Tenantry's, with every statement on its line. BEGIN and COMMIT of
 * one that its tool runs outside of a transaction are left out. In an empty database SET TRANSACTION is, too.
 *
 * @param placeOf returns the file and line for messages; without a line, the file alone
 * @throws `models-invalid` for a text that is no SQL, and for other statements about transactions
 */
export async function transactionFree(
  text: string,
  { isOutside = false, isEmpty = false }: Circumstances,
  placeOf: (line?: number) => string,
): Promise<string> {
  const { loadModule, parseSync } = await import('libpg-query')
  await loadModule()
  const { stmts = [] } = parsedText(text, parseSync, placeOf)
  const bytes = Buffer.from(text)
  for (const { stmt = {}, stmt_location: begin = 0, stmt_len: length } of stmts) {
    const end = length === undefined ? bytes.length : begin + length
    const place = () => placeOf(lineOf(bytes.subarray(begin, end), bytes, begin))
    if (isLeftOut(stmt, isOutside, place) || (isEmpty && setsTransaction(stmt))) blank(bytes.subarray(begin, end))
  }
  return bytes.toString()
}

const [space, lineFeed] = [0x20, 0x0a]

/** Overwrites text, and comments before it, with spaces. */
function blank(bytes: Buffer): void {
  for (const [i, byte] of bytes.entries()) if (byte !== lineFeed) bytes[i] = space
}

/** Returns the line on which a statement begins; the parser counts spaces before it as its own. */
function lineOf(statement: Buffer, bytes: Buffer, begin: number): number {
  const spaces = /^\s*/.exec(statement.toString())?.[0] ?? ''
  return linesIn(bytes.subarray(0, begin).toString() + spaces)
}

function parsedText(
  text: string,
  parse: (text: string) => ParseResult,
  placeOf: (line?: number) => string,
): ParseResult {
  // The parser refuses an empty text, which PostgreSQL allows.
  if (text.trim() === '') return { version: 0, stmts: [] }
  try {
    return parse(text)
  } catch (error) {
    const position = positionOf(error)
    const place = placeOf(position === undefined ? undefined : linesIn(text.slice(0, position)))
    throw new TenantryError('models-invalid', `${place}: ${messageOf(error)}.`, {
      cause: error,
      hint: 'Fix the file. If databases have it already, PostgreSQL accepts it and Tenantry does not: report that.',
    })
  }
}

function positionOf(error: unknown): number | undefined {
  const details: unknown = error instanceof Error && 'sqlDetails' in error ? error.sqlDetails : undefined
  if (typeof details !== 'object' || details === null || !('cursorPosition' in details)) return undefined
  return typeof details.cursorPosition === 'number' ? details.cursorPosition : undefined
}

function linesIn(before: string): number {
  return before.split('\n').length
}

const around: ReadonlySet<string | undefined> = new Set(['TRANS_STMT_BEGIN', 'TRANS_STMT_START', 'TRANS_STMT_COMMIT'])

/** True for a statement that begins or commits a transaction. @throws `models-invalid` for one that cannot be left out */
function isLeftOut(node: Node | object, isOutside: boolean, place: () => string): boolean {
  if (!('TransactionStmt' in node)) return false
  if (isOutside && around.has(node.TransactionStmt.kind)) return true
  const reason = isOutside
    ? 'only BEGIN and COMMIT can be left out of a migration'
    : 'a migration cannot begin, end or divide a transaction'
  throw new TenantryError('models-invalid', `${place()}: ${reason}.`, {
    hint: 'Take the statement out: all migrations of a database run in one transaction.',
  })
}

function setsTransaction(node: Node | object): boolean {
  return 'VariableSetStmt' in node && node.VariableSetStmt.name === 'TRANSACTION'
}
