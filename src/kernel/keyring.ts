import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { TenantryError } from './errors.ts'
import { Secret } from './secret.ts'

/** AES-256-GCM, with the sizes that NIST SP 800-38D recommends: a random 96-bit nonce, a 128-bit tag. */
const cipher = 'aes-256-gcm'
const bytes = { key: 32, nonce: 12, tag: 16 }

interface Key {
  /** The name of the key in a sealed text: the beginning of its hash, which reveals nothing of it. */
  readonly id: string
  readonly secret: Buffer
}

/**
 * The keys that encrypt passwords. The first seals; all of them open, so that a key can be replaced: put the new one
 * first, seal everything again, then leave out the old one.
 */
export class Keyring {
  readonly #keys: readonly [Key, ...Key[]]

  private constructor(keys: readonly [Key, ...Key[]]) {
    this.#keys = keys
  }

  /**
   * @param text one key of 32 bytes in base64, or several, separated by commas or spaces
   * @throws `invalid-option`
   */
  static parse(text: string): Keyring {
    if (typeof text !== 'string') throw keyError()
    const [first, ...others] = text
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(parseKey)
    if (first === undefined) throw keyError()
    return new Keyring([first, ...others])
  }

  /** The id of the key that seals. */
  get id(): string {
    return this.#keys[0].id
  }

  /** @param purpose the purpose of the text; it can be opened for no other */
  seal(text: Secret, purpose: string): string {
    const { id, secret } = this.#keys[0]
    const nonce = randomBytes(bytes.nonce)
    const sealing = createCipheriv(cipher, secret, nonce, { authTagLength: bytes.tag }).setAAD(Buffer.from(purpose))
    const sealed = Buffer.concat([nonce, sealing.update(text.reveal()), sealing.final(), sealing.getAuthTag()])
    return `${id}.${sealed.toString('base64url')}`
  }

  /** @throws `credentials-unreadable` if the key is missing, or the text was changed or sealed for another purpose */
  open(sealed: string, purpose: string): Secret {
    const [id = '', body = ''] = sealed.split('.')
    const key = this.#keys.find((it) => it.id === id)
    if (key === undefined)
      throw unreadableKeyError(`it was encrypted with the key ${printableId(id)}, which is not configured`)
    const buffer = Buffer.from(body, 'base64url')
    const nonce = buffer.subarray(0, bytes.nonce)
    try {
      const opening = createDecipheriv(cipher, key.secret, nonce, { authTagLength: bytes.tag })
      opening.setAAD(Buffer.from(purpose)).setAuthTag(buffer.subarray(-bytes.tag))
      const text = Buffer.concat([opening.update(buffer.subarray(bytes.nonce, -bytes.tag)), opening.final()])
      return new Secret(text.toString())
    } catch (cause) {
      throw unreadableKeyError('its record in the catalog was changed, or belongs to another role', cause)
    }
  }

  /** The ids of all keys, with that of the sealing key first. */
  get ids(): readonly string[] {
    return this.#keys.map(({ id }) => id)
  }

  /** True if a text is sealed with the current sealing key. */
  isCurrent(sealed: string): boolean {
    return sealed.startsWith(`${this.id}.`)
  }
}

function parseKey(text: string): Key {
  const secret = Buffer.from(text, 'base64')
  if (secret.length !== bytes.key || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) throw keyError()
  return { id: createHash('sha256').update(secret).digest('hex').slice(0, 8), secret }
}

function keyError(): TenantryError {
  return new TenantryError('invalid-option', `credentials.key must be ${bytes.key} random bytes in base64.`, {
    hint: 'Make one with: openssl rand -base64 32. Several are separated by commas, the one to encrypt with first.',
  })
}

function unreadableKeyError(why: string, cause?: unknown): TenantryError {
  return new TenantryError('credentials-unreadable', `The password of a tenant's role cannot be read: ${why}.`, {
    cause,
    hint: 'Add that key to credentials.key (or TENANTRY_CREDENTIALS_KEY), after the current one. If it is lost, set new passwords: tenantry rotate-credentials --all.',
  })
}

/** Returns the id of a key in printable form, since the catalog may hold any text in its place. */
export function printableId(id: string): string {
  return /^[0-9a-f]{1,8}$/.test(id) ? id : '(unknown)'
}
