import { closestMatch } from 'leven'
import { TenantryError } from './errors.ts'

/**
 * Refuses options that nobody knows, since a mistyped one would be silently without effect.
 *
 * @throws `invalid-option`, with the known option that was most likely meant
 */
export function refuseUnknownOptions(call: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const meant = closestMatch(unknown, [...known], { maxDistance: 2 })
  throw new TenantryError('invalid-option', `${call} has no option ${JSON.stringify(unknown)}.`, {
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
