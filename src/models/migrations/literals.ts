import { quoteText } from '../../kernel/quoting.ts'

/** Returns a value as a literal of the text that `pg` would send for it; a date in UTC, wherever this runs. */
export function literalOf(value: unknown): string {
  return value === null || value === undefined ? 'null' : quoteText(parameterText(value))
}

function parameterText(value: unknown): string {
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return `{${value.map(elementOf).join(',')}}`
  if (typeof value === 'object') return JSON.stringify(value)
  return typeof value === 'string' ? value : `${value as number | bigint | boolean}`
}

function elementOf(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (Array.isArray(value)) return parameterText(value)
  return `"${parameterText(value).replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
