import { closestMatch } from 'leven'
import { TenantryError } from './errors.ts'
import { show } from './printable.ts'

/** Checks the value of one option, which is never undefined. @returns the value to use @throws `invalid-option` */
export type Check = (option: string, value: unknown) => unknown

/** A check for each option of a call; one that is missing does not compile. */
export type Checks<Options> = { readonly [Name in keyof Options]-?: Check }

/**
 * Reads the options of a call, once: getters and proxies are not read again, and any error of them or a check becomes
 * `invalid-option`. An option that is undefined is left out.
 *
 * @returns a plain copy, with the results of the checks
 * @throws `invalid-option`; for an unknown option with the most similar known one
 */
export function readOptions<Options extends object>(
  call: string,
  given: Options,
  checks: Checks<NoInfer<Options>>,
): Options {
  let reading = call
  try {
    requireOptions(call, given)
    refuseUnknown(call, given, checks)
    const read: Record<string, unknown> = {}
    for (const name of Object.keys(checks)) {
      reading = name
      const value = (given as Record<string, unknown>)[name]
      if (value !== undefined) read[name] = (checks as Record<string, Check>)[name]?.(name, value)
    }
    return read as Options
  } catch (error) {
    throw unreadable(reading, error)
  }
}

/** Reads a value from outside, which may throw anything. @throws `invalid-option` */
export function readable<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw unreadable(what, error)
  }
}

function unreadable(what: string, cause: unknown): TenantryError {
  if (cause instanceof TenantryError) return cause
  return new TenantryError('invalid-option', `${what} cannot be read.`, {
    cause,
    hint: 'Give plain values: a getter or a proxy of it has thrown.',
  })
}

function requireOptions(call: string, given: unknown): void {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return
  throw new TenantryError('invalid-option', `The options of ${call} must be an object, not ${show(given)}.`, {
    hint: 'Write them as { name: value }.',
  })
}

/** Refuses an unknown option, since a mistyped one would be silently without effect. */
function refuseUnknown(call: string, given: object, checks: object): void {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(checks, name))
  if (unknown === undefined) return
  const known = Object.keys(checks)
  const meant = closestMatch(unknown, known, { maxDistance: 2 })
  const all = known.length === 0 ? 'It takes none.' : `It knows ${known.join(', ')}.`
  throw new TenantryError('invalid-option', `${call} has no option ${show(unknown)}.`, {
    hint: meant === undefined ? all : `Did you mean ${meant}?`,
  })
}

const defaultHint = 'Leave it out for the default.'

/** Returns the error for an invalid value of an option. `wanted` completes "must be". */
export function invalidOption(option: string, wanted: string, hint = defaultHint): TenantryError {
  return new TenantryError('invalid-option', `${option} must be ${wanted}.`, { hint })
}

/** Copies an object whose content another library checks. @throws `invalid-option` */
export function objectOption<Value extends object>(option: string, value: Value, hint?: string): Value {
  return readable(option, () => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
    throw invalidOption(option, 'an object', hint)
  })
}

/** Checks an AbortSignal. @throws `invalid-option` */
export function abortSignal(option: string, value: unknown): AbortSignal {
  try {
    // The class's own getter refuses an object that only looks like a signal.
    Reflect.get(AbortSignal.prototype, 'aborted', value)
    return value as AbortSignal
  } catch {
    const hint = 'Give the signal of an AbortController, or AbortSignal.timeout(milliseconds).'
    throw invalidOption(option, 'an AbortSignal', hint)
  }
}

/** The check of every call that can be cancelled. */
export const cancellable = { signal: abortSignal }

/** Checks a function. @throws `invalid-option` */
export function functionOption(option: string, value: unknown, hint?: string): unknown {
  if (typeof value === 'function') return value
  throw invalidOption(option, 'a function', hint)
}

/** Returns the check of an option that has a few values. */
export function oneOf<const Value extends string>(values: readonly Value[], hint?: string) {
  const wanted = values.map((value) => JSON.stringify(value)).join(' or ')
  return (option: string, value: unknown): Value => {
    const found = values.find((it) => it === value)
    if (found !== undefined) return found
    throw invalidOption(option, `${wanted}, not ${show(value)}`, hint)
  }
}

/** Checks a list, and copies it. @throws `invalid-option` */
export function list(option: string, value: unknown, hint?: string): readonly unknown[] {
  if (Array.isArray(value)) return [...(value as readonly unknown[])]
  throw invalidOption(option, 'a list', hint)
}

/** True if a value is an object with methods of these names. @throws `invalid-option` if it cannot be read */
export function hasMethods(value: unknown, ...methods: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return readable('What is given', () =>
    methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
  )
}

/** Checks a whole number above zero. @throws `invalid-option` */
export function positiveInteger(option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw invalidOption(option, 'a whole number above 0')
}

/** Checks a whole number, zero or above. @throws `invalid-option` */
function wholeNumber(option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw invalidOption(option, 'a whole number, 0 or above')
}

/** The longest time of Node's timers, some 24 days. */
export const longestMs = 2 ** 31 - 1

/** Checks a time in milliseconds, zero or above. @throws `invalid-option` */
export function durationMs(option: string, value: unknown): number {
  const ms = wholeNumber(option, value)
  if (ms <= longestMs) return ms
  throw invalidOption(option, `at most ${longestMs} milliseconds`)
}

/** Checks a time in milliseconds above zero. @throws `invalid-option` */
export function positiveMs(option: string, value: unknown): number {
  return durationMs(option, positiveInteger(option, value))
}

/** Checks the longest wait, in milliseconds; cut to the longest time of timers. @throws `invalid-option` */
export function deadline(option: string, value: unknown): number {
  if (typeof value === 'number' && value >= 0) return Math.min(value, longestMs)
  throw invalidOption(option, 'a number of milliseconds, 0 or above')
}

/** A hundred years. */
const mostDays = 36_500

/** Checks a number of days, zero or above. @throws `invalid-option` */
export function days(option: string, value: unknown): number {
  const number = wholeNumber(option, value)
  if (number <= mostDays) return number
  throw invalidOption(option, `at most ${mostDays} days`)
}

/** Checks a boolean. @throws `invalid-option` */
export function trueOrFalse(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw invalidOption(option, 'true or false')
}
