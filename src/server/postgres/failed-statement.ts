import { explained, type FailedStatement, TenantryError } from '../../kernel/errors.ts'
import { terminated } from './script-text.ts'
import { parser } from './structure/parser.ts'

/** A script that ran as one query. */
interface RunScript {
  readonly statements: readonly string[]
  /** Them, as they were sent. */
  readonly text: string
  /** The number of statements of the text that were completed. */
  readonly completed: number
}

/** Adds to the error of a script which of its statements failed. */
export async function withStatement(failure: unknown, script: RunScript): Promise<unknown> {
  if (!(failure instanceof TenantryError) || failure.sqlState === undefined) return failure
  const statement = placeIn(script, await failedAt(failure, script))
  const { code, message, hint, retryable } = failure
  return explained(failure, code, message, { hint, retryable, statement })
}

/** Returns the number of characters before the position that PostgreSQL reports, or before the statement that failed. */
async function failedAt({ cause }: TenantryError, { text, completed }: RunScript): Promise<number> {
  const position = Number((cause as { readonly position?: string }).position)
  // PostgreSQL counts characters, of which some are two units of a string.
  if (position > 0)
    return Array.from(text)
      .slice(0, position - 1)
      .join('').length
  const { parseSync } = await parser()
  // Without a position, it is no error of syntax.
  const start = parseSync(text).stmts?.[completed]?.stmt_location ?? 0
  return Buffer.from(text).subarray(0, start).toString().length
}

function placeIn({ statements, text }: RunScript, place: number): FailedStatement | undefined {
  let from = 0
  for (const [index, statement] of statements.entries()) {
    const sent = terminated(statement)
    from = text.indexOf(sent, from)
    const offset = Math.max(place - from, 0)
    if (offset < sent.length) {
      const start = offset + (/^\s*/.exec(sent.slice(offset))?.[0].length ?? 0)
      const lines = sent.slice(0, start).split('\n')
      return { index, line: lines.length, text: sent.slice(start - (lines.at(-1)?.length ?? 0)).trim() }
    }
    from += sent.length
  }
  return undefined
}
