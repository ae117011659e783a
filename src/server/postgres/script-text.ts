import type { Identifier } from '../../kernel/names.ts'
import type { ScriptOptions, TransactionOptions } from '../port.ts'
import { ownNames } from './client.ts'
import { quoteIdentifier } from './quoting.ts'

/** The surroundings of a script in a transaction. */
interface ScriptSurroundings extends ScriptOptions {
  /** The schema of unqualified names. */
  readonly schema: Identifier | undefined
}

/** Returns several statements as one simple query, which PostgreSQL runs in one transaction. */
export function scriptText(statements: readonly string[], { schema, role, lockTimeoutMs }: ScriptSurroundings): string {
  const named = schema === undefined ? statements : [setPath(quoteIdentifier(schema)), ...statements, setPath(ownNames)]
  const script = role === undefined ? named : [`set local role ${quoteIdentifier(role)}`, ...named, 'reset role']
  const limited = lockTimeoutMs === undefined ? script : [setLockTimeout(lockTimeoutMs), ...script]
  return limited.map(terminated).join('\n')
}

/**
 * Returns the beginning of a transaction, for one round trip. Administration is written for READ COMMITTED, with any
 * default of the URL, the role or the server: it waits for others; at a stricter level it would fail.
 */
export function beginText({ isolation = 'read committed', readOnly, ...options }: TransactionOptions): string {
  const { durable, rowSecurity, timeZone, lockTimeoutMs, idleMs } = options
  const statements = [`begin isolation level ${isolation}${readOnly ? ', read only' : ''}`]
  if (durable) statements.push('set local synchronous_commit = on')
  if (rowSecurity !== undefined) statements.push(`set local row_security = ${rowSecurity}`)
  if (timeZone !== undefined) statements.push(`set local timezone = '${timeZone}'`)
  if (lockTimeoutMs !== undefined) statements.push(setLockTimeout(lockTimeoutMs))
  if (idleMs !== undefined) statements.push(`set local idle_in_transaction_session_timeout = ${Math.ceil(idleMs)}`)
  return statements.join('; ')
}

function setLockTimeout(ms: number): string {
  return `set local lock_timeout = ${ms}`
}

function setPath(schemas: string): string {
  return `set local search_path = ${schemas}`
}

/** Returns a statement of a script as it is sent. */
export function terminated(statement: string): string {
  // On a line of its own: the statement may end in a comment.
  return `${statement.replace(/;\s*$/, '')}\n;`
}
