import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { hasSystemCode } from './kernel/system-error.ts'
import { TenantryError } from './kernel/errors.ts'
import { Keyring } from './kernel/keyring.ts'
import type { Logger } from './kernel/logger.ts'
import type { Server } from './server/port.ts'

const variable = 'TENANTRY_CREDENTIALS_KEY'
const folder = '.tenantry'
const fileName = 'credentials.key'

/** The source of the keys that tenants' passwords are encrypted with. */
export interface KeySource {
  /** The keys that are configured or kept; undefined if one may be made for development. */
  readonly found: Keyring | undefined
  /** Makes a key, and keeps it in the project's folder. @throws `credentials-key-missing` if that cannot be written */
  readonly make: () => Keyring
}

/**
 * Finds the keys: those configured, or those of the environment. Otherwise, in development and with servers of this
 * machine alone, the one in the project's folder. Nothing is made yet.
 *
 * @param baseDir the project's folder
 * @throws `credentials-key-missing`, `invalid-option`
 */
export function findKeys(
  configured: Keyring | undefined,
  servers: readonly Pick<Server, 'isLocal'>[],
  { baseDir = process.cwd(), logger }: KeyOptions,
): KeySource {
  const path = resolve(baseDir, folder, fileName)
  const make = () => makeDevelopmentKeys(path, logger)
  const fallback = process.env[variable]
  if (configured !== undefined) return { found: configured, make }
  if (fallback !== undefined && fallback !== '') return { found: Keyring.parse(fallback), make }
  if (process.env.NODE_ENV !== 'production' && servers.every(({ isLocal }) => isLocal)) {
    return { found: existsSync(path) ? readKeys(path) : undefined, make }
  }
  throw new TenantryError('credentials-key-missing', 'No key is configured to encrypt the passwords of tenants with.', {
    hint: `Make one with "openssl rand -base64 32", and give it to every process as credentials.key or ${variable}. Or let all tenants share the role of the connection, with roles: 'shared'.`,
  })
}

interface KeyOptions {
  readonly baseDir?: string | undefined
  readonly logger: Logger
}

/** Returns the error of a process without a key, if the catalog has passwords or the process may not make a key. */
export function keyMissingError(): TenantryError {
  return new TenantryError('credentials-key-missing', `There is no key to read the passwords of tenants with.`, {
    hint: `Give this process the key of those that made the tenants, as credentials.key or ${variable}; in development it is in ${join(folder, fileName)} of their project's folder. If it is lost: tenantry rotate-credentials --all --key-lost.`,
  })
}

function makeDevelopmentKeys(path: string, logger: Logger): Keyring {
  const shown = relative(process.cwd(), path)
  try {
    if (makeKey(path)) logger.info(`No credentials.key configured: made one in ${shown} (development only).`)
  } catch (cause) {
    throw unkeptError(shown, cause)
  }
  return readKeys(path)
}

function readKeys(path: string): Keyring {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw unkeptError(relative(process.cwd(), path), cause)
  }
  return Keyring.parse(text)
}

function unkeptError(path: string, cause: unknown): TenantryError {
  return new TenantryError('credentials-key-missing', `No key can be kept in ${path}.`, {
    cause,
    hint: `Let this process read and write there, or give it a key as credentials.key or ${variable}.`,
  })
}

/**
 * Writes another file and links it, so that the file exists only complete. @returns false if another process was faster
 */
function makeKey(path: string): boolean {
  const root = resolve(path, '..')
  mkdirSync(root, { recursive: true, mode: 0o755 })
  writeFileSync(join(root, '.gitignore'), '*\n')
  const beside = join(root, `${fileName}.${randomUUID()}`)
  writeFileSync(beside, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
  try {
    linkSync(beside, path)
    return true
  } catch (error) {
    if (hasSystemCode(error, 'EEXIST')) return false
    throw error
  } finally {
    rmSync(beside)
  }
}
