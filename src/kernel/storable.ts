import { TenantryError } from './errors.ts'
import type { JsonObject } from './merge-patch.ts'
import { checked, parsed, readOptions } from './options.ts'

const metadataBytes = 65_536
/**
 * The deepest nesting of metadata. The limits of PostgreSQL and Node.js depend on the free stack; this is far below.
 */
const metadataLevels = 100

/**
 * Checks that the catalog can store a tenant's metadata, and return it unchanged.
 *
 * @returns a copy with JSON's values only, so that the same value is compared, merged and stored
 * @throws `invalid-option`
 */
export function checkMetadata(metadata: unknown): JsonObject {
  const json = isPlainObject(metadata) ? toJson(metadata) : undefined
  const copy: unknown = json === undefined || Buffer.byteLength(json) > metadataBytes ? undefined : JSON.parse(json)
  if (!isPlainObject(copy) || isDeeper(copy, metadataLevels)) throw metadataError()
  return copy
}

function toJson(metadata: object): string | undefined {
  try {
    return JSON.stringify(metadata, function storable(this: JsonObject, key: string, value: unknown) {
      readOptions('metadata', storableText, key)
      if (typeof value === 'string') readOptions('metadata', storableText, value)
      if (!isKept(value, this, key)) throw metadataError()
      return value
    })
  } catch (error) {
    throw error instanceof TenantryError ? error : metadataError(error)
  }
}

/**
 * True if JSON keeps a value. A value that it would turn into `null` or `{}`, or drop from an object, is lost silently.
 */
function isKept(value: unknown, holder: JsonObject, key: string): boolean {
  // A null that was no null before: the time of an invalid date.
  if (value === null) return holder[key] === null
  if (typeof value === 'object') return Array.isArray(value) || isPlainObject(value)
  // Left out of an object, as everywhere in JavaScript.
  if (value === undefined) return !Array.isArray(holder)
  return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

function metadataError(cause?: unknown): TenantryError {
  return new TenantryError(
    'invalid-option',
    `metadata must be a plain object that JSON can hold, of at most ${metadataBytes} bytes and ${metadataLevels} levels.`,
    {
      cause,
      hint: 'Leave out circular references, and write values that JSON does not have, such as big numbers, as text.',
    },
  )
}

/** True for an object as a literal makes it. */
export function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/**
 * Text that PostgreSQL can store: without NUL, and without half of a surrogate pair.
 */
export const storableText = checked<string>(
  (text) => typeof text === 'string' && text.isWellFormed() && !text.includes('\u0000'),
  'well-formed text without NUL',
  'Remove the characters that PostgreSQL cannot store.',
)

/** A tenant's metadata. */
export const storableMetadata = parsed<Readonly<Record<string, unknown>>, JsonObject>(checkMetadata)
