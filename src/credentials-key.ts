import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { TenantryError } from './kernel/errors.ts'
import { Keyring } from './kernel/keyring.ts'
import type { Server } from './server/port.ts'

const variable = 'TENANTRY_CREDENTIALS_KEY'
const folder = '.tenantry'
const fileName = 'credentials.key'

/**
 * The keys that tenants' passwords are encrypted with: those configured, or those of the environment. Where there are
 * none, in development and with servers of this machine alone, one is made and kept in the project's folder.
 *
 * @throws `credentials-key-missing`, `invalid-option`
 */
export function findKeys(
  configured: string | undefined,
  servers: readonly Server[],
  announce: (notice: string) => void,
): Keyring {
  const given = configured ?? process.env[variable]
  if (given !== undefined && given !== '') return Keyring.parse(given)
  if (process.env.NODE_ENV !== 'production' && servers.every(({ isLocal }) => isLocal)) return developmentKeys(announce)
  throw new TenantryError('credentials-key-missing', 'No key is configured to encrypt the passwords of tenants with.', {
    hint: `Make one with "openssl rand -base64 32", and give it to every process as credentialsKey or ${variable}. Or let all tenants share the role of the connection, with roles: 'shared'.`,
  })
}

function developmentKeys(announce: (notice: string) => void): Keyring {
  const path = resolve(process.cwd(), folder, fileName)
  try {
    if (!existsSync(path) && makeKey(path)) {
      announce(`No credentialsKey configured: made one in ${join(folder, fileName)} (development only).`)
    }
    return Keyring.parse(readFileSync(path, 'utf8').trim())
  } catch (cause) {
    // What is in the file is no key: that says so itself.
    if (cause instanceof TenantryError) throw cause
    throw new TenantryError('credentials-key-missing', `No key can be kept in ${join(folder, fileName)}.`, {
      cause,
      hint: `Let this process write there, or give it a key as credentialsKey or ${variable}.`,
    })
  }
}

/** Makes the file beside and links it, so that it is there only whole. @returns false when somebody else was faster */
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
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(beside)
  }
}
