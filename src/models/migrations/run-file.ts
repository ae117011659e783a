import { explained, failedStatement, TenantryError } from '../../kernel/errors.ts'
import type { SchemaSession } from '../port.ts'

/**
 * Runs a file of migrations in one round trip. `parts` are its statements, or it is sent as a whole; `between` is the text
 * between two of them.
 *
 * @throws the error of a statement, with its file and line
 */
export async function runFile(
  session: SchemaSession,
  file: string,
  parts: readonly string[],
  between = '',
): Promise<void> {
  try {
    await session.script(parts)
  } catch (error) {
    throw error instanceof TenantryError ? inFile(error, file, parts, between) : error
  }
}

function inFile(error: TenantryError, file: string, parts: readonly string[], between: string): TenantryError {
  const { code, message, hint, retryable } = error
  const failed = failedStatement(error)
  if (failed === undefined) return explained(error, code, `${file}: ${message}`, { hint, retryable })
  const before = parts.slice(0, failed.index).map((part) => part + between)
  const line = before.join('').split('\n').length - 1 + failed.line
  const text = `${file}, line ${line}: ${message}\nThe statement: ${beginningOf(failed.text)}`
  return explained(error, code, text, { hint, retryable })
}

function beginningOf(statement: string): string {
  return statement.length > 200 ? `${statement.slice(0, 200)}...` : statement
}
