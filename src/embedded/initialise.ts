import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { abortedError } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Binaries } from './binaries.ts'
import { environment } from './environment.ts'
import { type Folder, makePassword, openForPassing, writePassword, writeRecord } from './folder.ts'
import type { Presence } from './presence.ts'
import { changeOwner, nameOfData, type RunAs } from './run-as.ts'

/** The parameters of making a data folder. */
export interface Initialisation {
  readonly folder: Folder
  readonly binaries: Binaries
  readonly runAs: RunAs | undefined
  readonly superuser: string
  /** Ends the program with this process. */
  readonly presence: Presence
  readonly signal: AbortSignal
}

const prefix = 'initialising-'

/**
 * Makes the data folder with a new password. It is made elsewhere and renamed when it is complete, so an interrupted
 * attempt is never taken for a data folder. Only for the holder of the lock.
 *
 * @throws `embedded-failed` with the output of initdb; `aborted`
 */
export async function initialise(work: Initialisation): Promise<void> {
  const { folder, binaries, runAs, superuser } = work
  const password = makePassword()
  const beside = join(folder.root, `${prefix}${randomUUID()}`)
  try {
    prepareFolder(beside, password, runAs)
    await runInitdb(work, join(beside, 'data'))
    writePassword(folder, password)
    writeRecord(folder, { port: undefined, superuser, version: binaries.version })
    renameSync(join(beside, 'data'), folder.data)
  } finally {
    await remove(beside)
  }
}

/** Removes the remains of interrupted attempts. Only for the holder of the lock. */
export async function removeLeftovers(folder: Folder): Promise<void> {
  const names = readdirSync(folder.root).filter((name) => name.startsWith(prefix))
  await Promise.all(names.map((name) => remove(join(folder.root, name))))
}

/** Removes a folder. An initdb whose parent was killed may still be writing there: the next start removes the rest. */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5 }).catch(() => {})
}

/**
 * Writes the password for initdb, which reads it as the user that it runs as; that user may not read the permanent
 * file.
 */
function prepareFolder(beside: string, password: Secret, runAs: RunAs | undefined): void {
  mkdirSync(join(beside, 'data'), { recursive: true, mode: 0o700 })
  writeFileSync(join(beside, 'password'), password.reveal(), { mode: 0o600 })
  changeOwner(join(beside, 'data'), runAs)
  changeOwner(join(beside, 'password'), runAs)
  if (runAs !== undefined) openForPassing(beside)
}

async function runInitdb(work: Initialisation, data: string): Promise<void> {
  const { folder, binaries, runAs, presence, signal } = work
  const name = nameOfData(folder, data, binaries.major, runAs)
  const child = spawn(binaries.initdb, initdbArguments(work, name), {
    ...runAs,
    cwd: data,
    env: environment(),
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const finished = presence.whileRunning(child, 'SIGKILL')
  const kill = () => presence.killRunning()
  signal.addEventListener('abort', kill, { once: true })
  try {
    const [exit, output, errors] = await Promise.all([finished, text(child.stdout), text(child.stderr)])
    if (signal.aborted) throw abortedError(signal)
    if (exit !== 'code 0') throw initdbFailed(exit, `${output}\n${errors}`)
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

function initdbArguments({ superuser, binaries }: Initialisation, data: string): string[] {
  return [
    '-D',
    data,
    `--username=${superuser}`,
    // Not joined: that would take /proc/self/cwd for an ordinary folder and drop its last part.
    `--pwfile=${data}/../password`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--no-instructions',
    ...localeArguments(binaries.major),
  ]
}

/**
 * Returns the arguments for the same order and letters on every machine, in any locale: PostgreSQL's own C.UTF-8, which
 * sorts by code point and knows all of Unicode's letters. Before 17 the C library's is the nearest, and other systems
 * than Linux may lack it.
 */
function localeArguments(major: number): string[] {
  if (major >= 17) return ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
  return ['--locale-provider=libc', `--locale=${process.platform === 'linux' ? 'C.UTF-8' : 'C'}`]
}

function initdbFailed(exit: string, output: string): TenantryError {
  return new TenantryError('embedded-failed', `initdb ended with ${exit}:\n${output.trim().slice(-2_000)}`)
}
