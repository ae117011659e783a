import type { Node, ParseResult } from 'libpg-query'
import { TenantryError, messageOf } from '../../kernel/errors.ts'

/**
 * Returns the text of a migration for a transaction of Tenantry's, with every statement on its line. Prisma sends a file
 * as one script, outside of a transaction, so that some files have BEGIN and COMMIT, which are left out. In an empty
 * database SET TRANSACTION is, too: no other session is in it.
 *
 * @throws `models-invalid` for a file that is no SQL, or that ends a transaction otherwise
 */
export async function transactionFree(
  file: string,
  text: string,
  { isEmpty }: { readonly isEmpty: boolean },
): Promise<string> {
  const { loadModule, parseSync } = await import('libpg-query')
  await loadModule()
  const { stmts = [] } = parsedFile(file, text, parseSync)
  const bytes = Buffer.from(text)
  for (const { stmt = {}, stmt_location: begin = 0, stmt_len: length } of stmts) {
    const end = length === undefined ? bytes.length : begin + length
    const isLeftOut = isOfTransaction(stmt, () => `${file}, line ${lineOf(bytes.subarray(begin, end), bytes, begin)}`)
    if (isLeftOut || (isEmpty && setsTransaction(stmt))) blank(bytes.subarray(begin, end))
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

function parsedFile(file: string, text: string, parse: (text: string) => ParseResult): ParseResult {
  try {
    return parse(text)
  } catch (error) {
    const position = positionOf(error)
    const at = position === undefined ? file : `${file}, line ${linesIn(text.slice(0, position))}`
    throw new TenantryError('models-invalid', `${at}: ${messageOf(error)}.`, {
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

/** True for a statement that begins or commits a transaction. @throws `models-invalid` for other ones about it */
function isOfTransaction(node: Node | object, place: () => string): boolean {
  if (!('TransactionStmt' in node)) return false
  if (around.has(node.TransactionStmt.kind)) return true
  throw new TenantryError('models-invalid', `${place()}: only BEGIN and COMMIT can be left out of a migration.`, {
    hint: 'Take the statement out: all migrations of a database run in one transaction.',
  })
}

function setsTransaction(node: Node | object): boolean {
  return 'VariableSetStmt' in node && node.VariableSetStmt.name === 'TRANSACTION'
}
