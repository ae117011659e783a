import { TenantryError } from './errors.ts'

/**
 * Refuses options that nobody knows, since a mistyped one would be silently without effect.
 *
 * @throws `invalid-option`, with the known option that was most likely meant
 */
export function refuseUnknownOptions(call: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const meant = known.find((name) => isClose(name.toLowerCase(), unknown.toLowerCase()))
  throw new TenantryError('invalid-option', `${call} has no option ${JSON.stringify(unknown)}.`, {
    hint: meant === undefined ? `It knows ${known.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

/** A whole number above zero. @throws `invalid-option` */
export function positiveInteger(option: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new TenantryError('invalid-option', `${option} must be a whole number above 0.`)
}

/** Whether at most two letters were added, left out or changed. */
function isClose(a: string, b: string): boolean {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]! <= 2
}
