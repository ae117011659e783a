import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { refuseUnknownOptions } from '../kernel/options.ts'

/** Options of `onboard`. */
export interface OnboardOptions extends Cancellable {
  /** For people; any text. */
  readonly displayName?: string
  /** The service's own notes on the tenant, as JSON; at most 64 KB. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** The name of the server to place it on. Default: the open one with the fewest tenants. */
  readonly server?: string
}

const metadataBytes = 65_536

/**
 * Checks everything about a new tenant before anything is touched.
 *
 * @param servers the names of the servers of this process
 * @throws `invalid-option`, `no-open-server`
 */
export function checkOnboardOptions(options: OnboardOptions, servers: readonly string[]) {
  refuseUnknownOptions('onboard', options, ['displayName', 'metadata', 'server', 'signal'])
  const { displayName, metadata = {}, server } = options
  if (displayName !== undefined) refuseUnstorable('displayName', displayName)
  checkMetadata(metadata)
  if (server !== undefined && !servers.includes(server)) {
    throw new TenantryError('no-open-server', `There is no server ${JSON.stringify(server)} in this process.`, {
      hint: `It has ${servers.join(', ')}.`,
    })
  }
  return { displayName, metadata, servers: server === undefined ? servers : [server] }
}

function checkMetadata(metadata: unknown): void {
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

/** PostgreSQL's text cannot hold NUL, nor half of a surrogate pair. */
function refuseUnstorable(option: string, text: unknown): void {
  if (typeof text === 'string' && text.isWellFormed() && !text.includes('\u0000')) return
  throw new TenantryError('invalid-option', `${option} must be well-formed text without NUL.`, {
    hint: 'Remove the characters that PostgreSQL cannot store.',
  })
}
