import { InvalidArgumentError } from 'commander'

/** Reads a whole number, as an option's value. */
export function parseWholeNumber(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It is not a whole number.')
}

/** Reads a JSON object, as an option's value. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> {
  const value = orNothing(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new InvalidArgumentError(`It is not a JSON object, such as '{"plan":"pro"}'.`)
}

function orNothing(text: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    if (error instanceof RoundedError) throw new InvalidArgumentError(error.message)
    return undefined
  }
}

/** Thrown for a number that would not be the same number in JavaScript. */
export class RoundedError extends Error {
  constructor(number: string) {
    super(`The number ${number.slice(0, 40)} would be rounded. Write it as text.`)
  }
}

/** Parses JSON, with every whole number as it is written. @throws SyntaxError, {@link RoundedError} */
export function parseJson(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, context?: { readonly source?: string }) => {
    const { source = '' } = context ?? {}
    const isWhole = typeof value === 'number' && /^-?\d+$/.test(source) && source !== '-0'
    if (isWhole && String(value) !== source) throw new RoundedError(source)
    return value
  })
}

/** Reads a time such as `500ms`, `10s` or `2m`, in milliseconds. */
export function duration(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})(ms|s|m)$/.exec(text) ?? []
  const factor = { ms: 1, s: 1_000, m: 60_000 }[unit]
  if (factor !== undefined) return Number(digits) * factor
  throw new InvalidArgumentError('It is not a time such as 500ms, 10s or 2m.')
}

/** Adds a share between 0 and 1 to those of an option that may be repeated. */
export function parseShares(text: string, before: readonly number[] = []): readonly number[] {
  if (/^0?\.\d{1,6}$/.test(text) && Number(text) > 0) return [...before, Number(text)]
  throw new InvalidArgumentError('It is not a share such as 0.05.')
}

/** Adds a value to those of an option that may be repeated. */
export function repeated(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

/** Reads several words with commas between them. */
export function parseList(text: string): readonly string[] {
  return text.split(',').map((word) => word.trim())
}
