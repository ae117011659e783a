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

  /** @param answer returns the rows of a statement, or undefined to record it and return none */
  constructor(answer: (text: string) => unknown) {
    this.#answer = answer
  }

  query(query: unknown, valuesOrDone?: unknown): unknown {
    const text = query as string
    const rows = this.#answer(text)
    const values = Array.isArray(valuesOrDone) ? (valuesOrDone as unknown[]) : []
    if (rows === undefined && !ofTransactions.test(text)) this.#recorded.push({ text, values })
    const result = { rows: rows ?? [] }
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

/** What TypeORM sends about transactions. All statements of a source run in one of Tenantry's. */
const ofTransactions =
  /^\s*(?:START TRANSACTION|SET TRANSACTION\b.*|COMMIT|(?:RELEASE )?SAVEPOINT typeorm_\d+)\s*;?\s*$/i

/** Returns the rows of TypeORM's questions about an empty database: none, but for its schema and its name. */
export function emptyDatabase(text: string): unknown {
  if (/^SELECT (?:\* FROM )?current_(?:schema|database)\(\)$/.test(text))
    return [{ current_schema: 'public', current_database: 'tenant' }]
  return text.startsWith('SELECT') ? [] : undefined
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
