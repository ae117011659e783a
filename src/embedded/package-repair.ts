import { accessSync, chmodSync, constants, lstatSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { hasSystemCode } from '../kernel/system-error.ts'
import { TenantryError } from '../kernel/errors.ts'

interface Link {
  /** The existing file, as a path in the package. */
  readonly source: string
  /** The link to it. */
  readonly target: string
}

/**
 * Does the work of the install script of a package of binaries, which npm does not run unless it is allowed to: makes
 * the links between its libraries (a package cannot hold links), and its programs executable. Any number of processes
 * may do it at once.
 *
 * @throws `embedded-failed` if the package may not be written
 */
export function repairPackage(root: string, programs: readonly string[]): void {
  try {
    for (const link of readLinks(root)) makeLink(root, link)
    for (const program of programs) makeExecutable(program)
  } catch (error) {
    throw new TenantryError(
      'embedded-failed',
      `The PostgreSQL binaries in ${root} are incomplete and cannot be completed.`,
      {
        cause: error,
        hint: 'Their install script was blocked. Run `npm rebuild` as a user who may write there, with the script allowed.',
      },
    )
  }
}

function readLinks(root: string): readonly Link[] {
  try {
    return JSON.parse(readFileSync(join(root, 'native', 'pg-symlinks.json'), 'utf8')) as Link[]
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return []
    throw error
  }
}

function makeLink(root: string, { source, target }: Link): void {
  const link = join(root, target)
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) return
  try {
    symlinkSync(relative(dirname(link), join(root, source)), link)
  } catch (error) {
    if (!hasSystemCode(error, 'EEXIST')) throw error
  }
}

function makeExecutable(program: string): void {
  try {
    accessSync(program, constants.X_OK)
  } catch {
    chmodSync(program, 0o755)
  }
}
