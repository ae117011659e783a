import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TenantryError } from '../kernel/errors.ts'
import { Secret } from '../kernel/secret.ts'

/** The paths of one embedded server. */
export interface Folder {
  readonly root: string
  /** PostgreSQL's own data folder. It exists only complete: it is made elsewhere and renamed. */
  readonly data: string
  /** The superuser's password, readable by its owner alone. */
  readonly password: string
  readonly log: string
  /** The record for the next start, see {@link ServerRecord}. */
  readonly record: string
  /** The lock of a process that starts or stops the server. */
  readonly lock: string
  /** One file for each process that uses the server. */
  readonly users: string
  /** Holds the pid of a server that has received the request to stop. */
  readonly stopping: string
}

/** The values that are kept from start to start. */
export interface ServerRecord {
  readonly port: number | undefined
  readonly superuser: string
  /** PostgreSQL's version, such as 18.4. */
  readonly version: string
}

/**
 * Makes the folder if it is missing.
 *
 * @throws `embedded-failed` if it is itself a data folder of PostgreSQL
 */
export function openFolder(root: string): Folder {
  if (existsSync(join(root, 'PG_VERSION'))) {
    throw new TenantryError('embedded-failed', `${root} is itself a data folder of PostgreSQL.`, {
      hint: 'Give a folder of its own as dataDir: data, password and log are kept inside it.',
    })
  }
  const folder = layout(root)
  mkdirSync(root, { recursive: true, mode: 0o700 })
  mkdirSync(folder.users, { recursive: true, mode: 0o700 })
  // It holds a password and many files, which do not belong into a repository.
  writeFileSync(join(root, '.gitignore'), '*\n')
  return folder
}

/** Allows another user to pass through the folder to the data, without listing it. */
export function openForPassing(folder: string): void {
  chmodSync(folder, 0o711)
}

/** Returns a new password of 192 random bits, in letters that need no escape in a URL. */
export function makePassword(): Secret {
  return new Secret(randomBytes(24).toString('base64url'))
}

export function writePassword(folder: Folder, password: Secret): void {
  replaceFile(folder.password, `${password.reveal()}\n`)
}

/** @throws `embedded-failed` if the file is missing */
export function readPassword(folder: Folder): Secret {
  if (existsSync(folder.password)) return new Secret(readFileSync(folder.password, 'utf8').trim())
  throw new TenantryError('embedded-failed', `The password file ${folder.password} is missing.`, {
    hint: `Put it back, or remove ${folder.root} to begin with an empty server.`,
  })
}

export function writeRecord(folder: Folder, record: ServerRecord): void {
  replaceFile(folder.record, `${JSON.stringify(record)}\n`)
}

/** Reads the record of the last start; a lost or damaged one costs no more than the preferred port. */
export function readRecord(folder: Folder): Partial<ServerRecord> {
  try {
    const { port, superuser, version } = JSON.parse(readFileSync(folder.record, 'utf8')) as Record<string, unknown>
    return {
      port: typeof port === 'number' ? port : undefined,
      ...(typeof superuser === 'string' && { superuser }),
      ...(typeof version === 'string' && { version }),
    }
  } catch {
    return {}
  }
}

/** Returns the paths inside, existing or not. */
export function layout(root: string): Folder {
  return {
    root,
    data: join(root, 'data'),
    password: join(root, 'password'),
    log: join(root, 'postgres.log'),
    record: join(root, 'server.json'),
    lock: join(root, 'lock'),
    users: join(root, 'users'),
    stopping: join(root, 'stopping'),
  }
}

/** Writes another file and renames it, so that no reader and no crash ever sees half a file. */
function replaceFile(file: string, content: string): void {
  const beside = `${file}.${randomUUID()}`
  writeFileSync(beside, content, { mode: 0o600, flag: 'wx' })
  renameSync(beside, file)
}
