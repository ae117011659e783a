import { type FailedStatement, setFailedStatement, TenantryError } from '../../kernel/errors.ts'
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

/** Lets the error of a script find which of its statements failed. That takes the parser, so it is done on demand. */
export function locateStatement(error: unknown, script: RunScript): void {
  if (error instanceof TenantryError && error.sqlState !== undefined)
    setFailedStatement(error, async () => placeIn(script, await failedAt(error, script)))
}

/** Returns the number of characters before the position that PostgreSQL reports, or before the statement that failed. */
async function failedAt({ cause }: TenantryError, { text, completed }: RunScript): Promise<number | undefined> {
  const position = Number((cause as { readonly position?: string }).position)
  // PostgreSQL counts characters, of which some are two units of a string.
  if (position > 0)
    return Array.from(text)
      .slice(0, position - 1)
      .join('').length
  const { parseSync } = await parser()
  try {
    const start = parseSync(text).stmts?.[completed]?.stmt_location ?? 0
    return Buffer.from(text).subarray(0, start).toString().length
  } catch {
    // The server may be newer than the parser.
    return undefined
  }
}

function placeIn({ statements, text }: RunScript, place: number | undefined): FailedStatement | undefined {
  if (place === undefined) return undefined
  let from = 0
  for (const [index, statement] of statements.entries()) {
    const sent = terminated(statement)
    from = text.indexOf(sent, from)
    const offset = Math.max(place - from, 0)
    if (offset < sent.length) {
      const start = offset + (/^\s*/.exec(sent.slice(offset))?.[0].length ?? 0)
      const lines = sent.slice(0, start).split('\n')
      return { index, line: lines.length, text: sent.slice(start - (lines.at(-1)?.length ?? 0), -1).trim() }
    }
    from += sent.length
  }
  return undefined
}
