import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { dependenciesOf } from './package-json.ts'

/** A program that reads TypeScript which Node itself cannot: decorators, imports without an extension. */
interface Loader {
  readonly name: string
  /** The module of the package for `node --import`. */
  readonly entry: string
}

const loaders: readonly Loader[] = [
  { name: '@swc-node/register', entry: 'esm/esm-register.mjs' },
  { name: 'tsx', entry: 'dist/loader.mjs' },
  { name: 'jiti', entry: 'lib/jiti-register.mjs' },
]

/** The variable by which {@link runThrough} passes the loader's name to the process that it starts. */
const variable = 'TENANTRY_LOADER'

/** The loader that this process was started with, if it was. */
export const currentLoader: string | undefined = process.env[variable]
// Meant for this process alone: the processes that it starts have no loader from it.
delete process.env[variable]

/** The names of the known loaders. */
export const loaderNames: readonly string[] = loaders.map(({ name }) => name)

/** Finds the project's loader: one that its package.json names, or else an installed one. */
export function findLoader(configFile: string): Loader | undefined {
  const installed = loaders.flatMap((loader) => {
    const entry = findEntry(dirname(configFile), loader)
    return entry === undefined ? [] : [{ name: loader.name, entry }]
  })
  const named = namedIn(configFile)
  return installed.find(({ name }) => named.includes(name)) ?? installed[0]
}

/**
 * Runs this very command again, through a loader.
 *
 * @returns the exit code
 */
export async function runThrough({ name, entry }: Loader): Promise<number> {
  const words = ['--import', pathToFileURL(entry).href, ...process.execArgv, ...process.argv.slice(1)]
  const child = spawn(process.execPath, words, { stdio: 'inherit', env: { ...process.env, [variable]: name } })
  // A terminal sends Ctrl-C to both; other senders signal only this process, and mean the other as well.
  const pass = (signal: NodeJS.Signals) => child.kill(signal)
  process.on('SIGTERM', pass).on('SIGHUP', pass)
  process.on('SIGINT', isOnTerminal() ? () => undefined : pass)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGTERM']))
  })
}

function isOnTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
}

function findEntry(folder: string, loader: Loader): string | undefined {
  const file = join(folder, 'node_modules', loader.name, loader.entry)
  if (existsSync(file)) return file
  const parent = dirname(folder)
  return parent === folder ? undefined : findEntry(parent, loader)
}

/** Returns the dependencies of the nearest package.json. */
function namedIn(configFile: string): readonly string[] {
  for (let folder = dirname(configFile); ; folder = dirname(folder)) {
    const named = dependenciesOf(folder)
    if (named !== undefined) return named
    if (folder === dirname(folder)) return []
  }
}
