import { explained, type FailedStatement, failedStatement, TenantryError } from '../../kernel/errors.ts'
import type { SchemaSession } from '../port.ts'

/**
 * Runs a file of migrations in one round trip. `parts` are its statements, or it is sent as a whole; `between` is the text
 * between two of them.
 *
 * @throws the error of a statement, with its file and line
 */
export function runFile(session: SchemaSession, file: string, parts: readonly string[], between = ''): Promise<void> {
  return runPlaced(session, parts, file, ({ index, line }) => {
    const before = parts.slice(0, index).map((part) => part + between)
    return `${file}, line ${before.join('').split('\n').length - 1 + line}`
  })
}

/** Runs the statements of a migration in one round trip. @throws the error of a statement, with the migration's name */
export function runMigration(session: SchemaSession, name: string, statements: readonly string[]): Promise<void> {
  return runPlaced(session, statements, name, () => name)
}

async function runPlaced(
  session: SchemaSession,
  statements: readonly string[],
  name: string,
  placeOf: (failed: FailedStatement) => string,
): Promise<void> {
  try {
    await session.script(statements)
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    const { code, message, hint, retryable } = error
    const failed = await failedStatement(error)
    const text =
      failed === undefined
        ? `${name}: ${message}`
        : `${placeOf(failed)}: ${message}\nThe statement: ${beginningOf(failed.text)}`
    throw explained(error, code, text, { hint, retryable })
  }
}

function beginningOf(statement: string): string {
  return statement.length > 200 ? `${statement.slice(0, 200)}...` : statement
}
