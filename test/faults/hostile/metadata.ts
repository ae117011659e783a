import * as fc from 'fast-check'
import { circular, hostileText, longText, notText } from './texts.ts'

const metadataBytes = 65_536
const metadataLevels = 100

const numbers = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(-0, 1e308, 5e-324, 1e21, 0.1 + 0.2, 2 ** 53 + 2, -1e-7, Number.parseFloat('1e400'), NaN),
)

const leaf = fc.oneof(
  { weight: 6, arbitrary: hostileText },
  { weight: 3, arbitrary: numbers },
  { weight: 2, arbitrary: fc.constantFrom(true, false, null) },
  { weight: 1, arbitrary: fc.date({ noInvalidDate: true }) },
  { weight: 1, arbitrary: fc.constant(undefined) },
)

/** Values that JSON would lose, or choke on. */
const lost = fc.oneof(notText, fc.constant(undefined), fc.constantFrom('\0', '\ud800'), longText)

const key = fc.oneof(
  hostileText,
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'length', '', '0', '$'),
)

const { tree } = fc.letrec<{ tree: unknown; list: unknown[]; object: object }>((tie) => ({
  tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, tie('list'), tie('object')),
  list: fc.array(tie('tree'), { maxLength: 4 }),
  object: objectOf(tie('tree')),
}))

function objectOf(value: fc.Arbitrary<unknown>): fc.Arbitrary<Record<string, unknown>> {
  // Results of JSON.parse, and objects without a prototype: either may have a key "__proto__".
  return fc.tuple(fc.array(fc.tuple(key, value), { maxLength: 4 }), fc.boolean()).map(([entries, isBare]) => {
    const made = Object.fromEntries(entries)
    return isBare
      ? Object.defineProperties(Object.create(null) as object, Object.getOwnPropertyDescriptors(made))
      : made
  }) as fc.Arbitrary<Record<string, unknown>>
}

const nested = fc
  .tuple(fc.boolean(), fc.constantFrom(90, 98, 99, 100, 101, 1_000, 20_000))
  .map(([inLists, levels]) => ({ deep: nest(levels - 1, inLists) }))

const atTheLimit = fc
  .tuple(fc.constantFrom('x', 'é', '"', '\n'), fc.integer({ min: -3, max: 3 }))
  .map(([unit, more]) => {
    const room = metadataBytes + more - Buffer.byteLength(JSON.stringify({ big: '' }))
    const size = Buffer.byteLength(JSON.stringify(unit)) - 2
    return { big: unit.repeat(Math.floor(room / size)) + 'x'.repeat(room % size) }
  })

/** Values for metadata. Most of them can be stored. */
export const anyMetadata: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 10, arbitrary: objectOf(tree) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(objectOf(tree), key, lost)
      .map(([it, name, value]) => Object.defineProperty(it, name, { value, enumerable: true, configurable: true })),
  },
  { weight: 1, arbitrary: nested },
  { weight: 1, arbitrary: atTheLimit },
  { weight: 1, arbitrary: fc.constant(null).map(() => circular()) },
  { weight: 1, arbitrary: notText },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ toJSON: () => 'text' }, { toJSON: () => undefined }, Object.create({ inherited: 1 })),
  },
)

function nest(levels: number, inLists: boolean): unknown {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = inLists ? [value] : { a: value }
  return value
}

/** True if metadata can be stored, according to the documentation. */
export function isStorable(metadata: unknown): boolean {
  return (
    isPlain(metadata) &&
    !hasToJson(metadata) &&
    isJson(metadata, 1) &&
    Buffer.byteLength(JSON.stringify(metadata)) <= metadataBytes
  )
}

/** True if PostgreSQL's text can hold it. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed() && !value.includes('\0')
}

function isJson(value: unknown, level: number): boolean {
  if (typeof value === 'string') return isText(value)
  if (typeof value === 'number') return Number.isFinite(value)
  if (value === null || typeof value === 'boolean') return true
  if (typeof value !== 'object') return false
  if (hasToJson(value)) return isJson(jsonOf(value), level) && jsonOf(value) !== null
  if (level > metadataLevels) return false
  if (Array.isArray(value)) return value.every((it) => isJson(it, level + 1))
  return (
    isPlain(value) &&
    Object.entries(value).every(([name, it]) => isText(name) && (it === undefined || isJson(it, level + 1)))
  )
}

function hasToJson(value: object): boolean {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function jsonOf(value: object): unknown {
  try {
    return (value as { toJSON: () => unknown }).toJSON()
  } catch {
    return undefined
  }
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** Returns the result of a merge patch on no metadata: as JSON has it, without nulls in objects. */
export function merged(patch: unknown): unknown {
  return withoutNull(JSON.parse(JSON.stringify(patch)))
}

function withoutNull(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const kept = Object.entries(value).filter(([, it]) => it !== null)
  return Object.fromEntries(kept.map(([name, it]) => [name, withoutNull(it)]))
}
