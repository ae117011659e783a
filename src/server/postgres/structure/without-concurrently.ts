import type { Node } from 'libpg-query'
import { parser } from './parser.ts'

/**
 * Returns a script without the CONCURRENTLY of its CREATE INDEX and DROP INDEX, which PostgreSQL refuses in a transaction.
 * The result is the same; only other sessions have to wait.
 */
export async function withoutConcurrently(script: string): Promise<string> {
  if (!/\bconcurrently\b/i.test(script)) return script
  const { parseSync, scanSync } = await parser()
  try {
    const starts = (parseSync(script).stmts ?? []).flatMap(({ stmt, stmt_location: start = 0 }) =>
      stmt !== undefined && isConcurrent(stmt) ? [start] : [],
    )
    const { tokens } = scanSync(script)
    const bytes = Buffer.from(script)
    let done = 0
    const kept = starts.map((start) => {
      const word = tokens.find((it) => it.start >= start && /^concurrently$/i.test(it.text))
      const text = bytes.subarray(done, word?.start).toString()
      done = word?.end ?? bytes.length
      return text.replace(/ +$/, '')
    })
    return kept.join('') + bytes.subarray(done).toString()
  } catch {
    // PostgreSQL's own error is clearer than the parser's.
    return script
  }
}

/** True for a statement that makes or drops an index concurrently. */
function isConcurrent(node: Node): boolean {
  if ('IndexStmt' in node) return node.IndexStmt.concurrent === true
  return 'DropStmt' in node && node.DropStmt.concurrent === true
}
