import { closestMatch } from 'leven'
import { TenantryError } from './errors.ts'
import { show } from './printable.ts'

/** Refuses what is no object of options, or has a signal that is none. @throws `invalid-option` */
export function requireOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new TenantryError('invalid-option', `The options must be an object, not ${show(options)}.`, {
      hint: 'Write them as { name: value }.',
    })
  }
  const signal: unknown = 'signal' in options ? options.signal : undefined
  if (signal === undefined || signal instanceof AbortSignal) return
  throw new TenantryError('invalid-option', 'signal must be an AbortSignal.', {
    hint: 'Give the signal of an AbortController, or AbortSignal.timeout(milliseconds).',
  })
}

/**
 * Refuses options that nobody knows, since a mistyped one would be silently without effect.
 *
 * @throws `invalid-option`, with the known option that was most likely meant
 */
export function refuseUnknownOptions(call: string, options: object, known: readonly string[]): void {
  requireOptions(options)
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const meant = closestMatch(unknown, [...known], { maxDistance: 2 })
  throw new TenantryError('invalid-option', `${call} has no option ${show(unknown)}.`, {
    hint: meant === undefined ? `It knows ${known.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

/** A whole number above zero. @throws `invalid-option` */
export function positiveInteger(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new TenantryError('invalid-option', `${option} must be a whole number above 0.`, {
    hint: 'Leave it out for the default.',
  })
}

/** A whole number, zero or above. @throws `invalid-option` */
function wholeNumber(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new TenantryError('invalid-option', `${option} must be a whole number, 0 or above.`, {
    hint: 'Leave it out for the default.',
  })
}

/** What Node's timers can hold, some 24 days. */
const longestMs = 2 ** 31 - 1

/** A time in milliseconds, zero or above. @throws `invalid-option` */
export function durationMs(option: string, value: number): number {
  if (wholeNumber(option, value) <= longestMs) return value
  throw new TenantryError('invalid-option', `${option} must be at most ${longestMs} milliseconds.`, {
    hint: 'Leave it out for the default.',
  })
}

/** A hundred years. */
const mostDays = 36_500

/** A number of days, zero or above. @throws `invalid-option` */
export function days(option: string, value: number): number {
  if (wholeNumber(option, value) <= mostDays) return value
  throw new TenantryError('invalid-option', `${option} must be at most ${mostDays} days.`, {
    hint: 'Leave it out for the default.',
  })
}

/** A part of a whole, above 0 and at most 1. @throws `invalid-option` */
export function part(option: string, value: number): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw new TenantryError('invalid-option', `${option} must be a number above 0 and at most 1.`, {
    hint: 'Write 0.5 for a half.',
  })
}

/** @throws `invalid-option` */
export function trueOrFalse(option: string, value: boolean): boolean {
  if (typeof value === 'boolean') return value
  throw new TenantryError('invalid-option', `${option} must be true or false.`, {
    hint: 'Leave it out for the default.',
  })
}

/** Checks the path of a folder, which need not be there. @throws `invalid-option` */
export function folder(name: string, value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return
  throw new TenantryError('invalid-option', `${name} must be the path of a folder, not ${show(value)}.`, {
    hint: 'Leave it out, or write such as import.meta.dirname.',
  })
}
