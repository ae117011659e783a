import { TenantryError } from './errors.ts'

const metadataBytes = 65_536

/** Checks a tenant's metadata: what the catalog can hold. @throws `invalid-option` */
export function checkMetadata(metadata: unknown): void {
  if (!isPlainObject(metadata)) throw metadataError()
  let json: string
  try {
    json = JSON.stringify(metadata, (key, value: unknown) => {
      refuseUnstorable('metadata', key)
      if (typeof value === 'string') refuseUnstorable('metadata', value)
      return value
    })
  } catch (error) {
    throw error instanceof TenantryError ? error : metadataError(error)
  }
  if (Buffer.byteLength(json) > metadataBytes) throw metadataError()
}

function metadataError(cause?: unknown): TenantryError {
  return new TenantryError(
    'invalid-option',
    `metadata must be a plain object that JSON can hold, of at most ${metadataBytes} bytes.`,
    { cause, hint: 'Leave out what is circular, and write dates and big numbers as text.' },
  )
}

function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** PostgreSQL's text cannot hold NUL, nor half of a surrogate pair. @throws `invalid-option` */
export function refuseUnstorable(option: string, text: unknown): void {
  if (typeof text === 'string' && text.isWellFormed() && !text.includes('\u0000')) return
  throw new TenantryError('invalid-option', `${option} must be well-formed text without NUL.`, {
    hint: 'Remove the characters that PostgreSQL cannot store.',
  })
}
