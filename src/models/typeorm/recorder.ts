import { literalOf } from '../migrations/literals.ts'
import type { UsedConnection } from './connections.ts'

interface Recorded {
  readonly text: string
  readonly values: readonly unknown[]
}

/** A connection without a database: it records what TypeORM sends. */
export class Recorder implements UsedConnection {
  readonly #recorded: Recorded[] = []
  readonly #answer: (text: string) => unknown
  readonly #rows: unknown

  /**
   * @param answer returns the rows of a statement, or undefined to record it
   * @param rows those of the recorded ones
   */
  constructor(answer: (text: string) => unknown, rows: unknown = []) {
    this.#answer = answer
    this.#rows = rows
  }

  query(query: unknown, valuesOrDone?: unknown): unknown {
    const text = query as string
    const rows = this.#answer(text)
    const values = Array.isArray(valuesOrDone) ? (valuesOrDone as unknown[]) : []
    if (rows === undefined && !ofTransactions.test(text)) this.#recorded.push({ text, values })
    const result = { rows: rows ?? this.#rows }
    if (typeof valuesOrDone !== 'function') return Promise.resolve(result)
    Reflect.apply(valuesOrDone, undefined, [undefined, result])
    return undefined
  }

  release(): void {}

  /** Returns the statements, with their values in the text: scripts have no parameters. */
  statements(): Promise<readonly string[]> {
    return Promise.all(this.#recorded.map(withLiterals))
  }
}

/** Matches TypeORM's statements about transactions: all statements of a source run in one of Tenantry's. */
const ofTransactions =
  /^\s*(?:BEGIN|START TRANSACTION|SET TRANSACTION\b.*|COMMIT|(?:RELEASE )?SAVEPOINT typeorm_\d+)\s*;?\s*$/i

/** Returns the rows of TypeORM's questions about an empty database: none, but for its name. */
export function emptyDatabase(text: string): unknown {
  if (text === 'SELECT * FROM current_database()') return [{ current_database: 'tenant' }]
  return answerOfSchema(text) ?? (text.startsWith('SELECT') ? [] : undefined)
}

/** Returns the rows of TypeORM's questions that have one answer in every database. */
export function answerOfSchema(text: string): unknown {
  if (/^SELECT (?:\* FROM )?current_schema\(\)$/.test(text)) return [{ current_schema: 'public' }]
  // Before it creates an enum. PostgreSQL refuses a second one.
  return text.startsWith('SELECT "n"."nspname", "t"."typname" FROM "pg_type" "t"') ? [] : undefined
}

/** Returns a statement with its values as literals. A quoted value is taken for any type, as a parameter is. */
async function withLiterals({ text, values }: Recorded): Promise<string> {
  if (values.length === 0) return text
  const { loadModule, scanSync } = await import('libpg-query')
  await loadModule()
  const bytes = Buffer.from(text)
  let [replaced, end] = ['', 0]
  for (const token of scanSync(text).tokens) {
    if (token.tokenName !== 'PARAM') continue
    replaced += bytes.subarray(end, token.start).toString() + literalOf(values[Number(token.text.slice(1)) - 1])
    end = token.end
  }
  return replaced + bytes.subarray(end).toString()
}
