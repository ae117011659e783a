import { explained, type FailedStatement, failedStatement, TenantryError } from '../../kernel/errors.ts'
import type { SchemaSession } from '../port.ts'
import { type Circumstances, transactionFree } from './transaction-free.ts'

/** A file of migrations that is run. */
export interface RunFile extends Circumstances {
  readonly file: string
  /** Its statements; or the whole of it. */
  readonly parts: readonly string[]
  /** The text between two parts. Default: none. */
  readonly between?: string
}

/**
 * Runs a file of migrations in one round trip.
 *
 * @throws the error of a statement, with its file and line; `models-invalid` for one about transactions
 */
export function runFile(session: SchemaSession, { file, parts, between = '', ...others }: RunFile): Promise<void> {
  return runPlaced(session, { statements: parts, name: file, ...others }, (index, line) => {
    const before = parts.slice(0, index).map((part) => part + between)
    return `${file}, line ${before.join('').split('\n').length - 1 + line}`
  })
}

/**
 * Runs the statements of a migration in one round trip.
 *
 * @throws the error of a statement, with the migration's name; `models-invalid` for one about transactions
 */
export function runMigration(
  session: SchemaSession,
  name: string,
  statements: readonly string[],
  circumstances: Circumstances = {},
): Promise<void> {
  return runPlaced(session, { statements, name, ...circumstances }, () => name)
}

interface Run extends Circumstances {
  readonly statements: readonly string[]
  readonly name: string
}

async function runPlaced(
  session: SchemaSession,
  { statements, name, ...circumstances }: Run,
  placeOf: (index: number, line: number) => string,
): Promise<void> {
  const placed = (index: number) => (line?: number) => (line === undefined ? name : placeOf(index, line))
  const free = await Promise.all(statements.map((it, index) => transactionFree(it, circumstances, placed(index))))
  try {
    await session.script(free)
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    const { code, message, hint, retryable } = error
    const failed = await failedStatement(error)
    const text =
      failed === undefined
        ? `${name}: ${message}`
        : `${placeOf(failed.index, failed.line)}: ${message}\nThe statement: ${beginningOf(failed)}`
    throw explained(error, code, text, { hint, retryable })
  }
}

function beginningOf({ text }: FailedStatement): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}
