import { spawnSync } from 'node:child_process'
import { chownSync, readFileSync, statSync } from 'node:fs'
import { TenantryError } from '../kernel/errors.ts'
import type { Folder } from './folder.ts'

/** The user that PostgreSQL runs as if this process is root, which PostgreSQL refuses to be. */
export interface RunAs {
  readonly uid: number
  readonly gid: number
}

/** The path at which the kernel shows a process its working directory, without access to the folders above it. */
const ownDirectory = '/proc/self/cwd'

/**
 * Returns the user that PostgreSQL has to run as; `undefined` for this process's own user. For root that is the owner
 * of the data, and without data the user `postgres` or else `nobody`.
 *
 * @throws `embedded-failed` if root finds neither
 */
export function chooseUser(dataFolder: string): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined
  const data = statSync(dataFolder, { throwIfNoEntry: false })
  if (data !== undefined && data.uid !== 0) return { uid: data.uid, gid: data.gid }
  const user = readUser('postgres') ?? readUser('nobody')
  if (user !== undefined) return user
  throw new TenantryError(
    'embedded-failed',
    'PostgreSQL does not run as root, and there is no other user to run it as.',
    {
      hint: 'Run this as an ordinary user, or create one: useradd --system postgres',
    },
  )
}

/** Gives a file or folder to that user. */
export function changeOwner(path: string, runAs: RunAs | undefined): void {
  if (runAs !== undefined) chownSync(path, runAs.uid, runAs.gid)
}

/**
 * Returns the name of the data folder for a PostgreSQL program that is started inside it: its path, or its own working
 * directory if a folder above is closed to the user that runs PostgreSQL (a project below /root).
 *
 * @throws `embedded-failed` if the second is needed and not possible
 */
export function nameOfData(folder: Folder, data: string, major: number, runAs: RunAs | undefined): string {
  if (runAs === undefined || mayEnter(folder.root, runAs)) return data
  // Before 16 PostgreSQL finds its own program by changing directories, and cannot come back into this one.
  if (process.platform === 'linux' && major >= 16) return ownDirectory
  throw new TenantryError(
    'embedded-failed',
    `The user that PostgreSQL runs as (uid ${runAs.uid}) cannot reach ${folder.root}.`,
    {
      hint: 'Run this as an ordinary user, or choose a dataDir below folders that all users may pass (chmod o+x).',
    },
  )
}

function mayEnter(path: string, { uid, gid }: RunAs): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd -- "$0"', path], { uid, gid, cwd: '/', stdio: 'ignore' }).status === 0
}

function readUser(name: string): RunAs | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}
