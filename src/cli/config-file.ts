import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantryConfig } from '../index.ts'
import { placeInCode, throwingFrame } from './error-place.ts'
import { currentLoader, findLoader, loaderNames, runThrough } from './loader.ts'

/** The names of a configuration file; the first that is found counts. */
export const configFileNames = [
  'tenantry.config.ts',
  'tenantry.config.mts',
  'tenantry.config.js',
  'tenantry.config.mjs',
]

/** Thrown after another process has run the command again; its exit code is this process's. */
export class RanElsewhere extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('The command was run through a loader.')
    this.exitCode = exitCode
  }
}

/**
 * Reads the configuration: the given file, or the nearest one from the working directory upwards. The project's folder
 * is the file's, even if the command runs in another one. Node reads the file itself; if it cannot (decorators, imports
 * without an extension), the command is run again through the project's own loader.
 *
 * @throws `config-missing`, `config-unreadable`
 */
export async function loadConfig(given: string | undefined): Promise<TenantryConfig<unknown>> {
  const file = fileOf(given)
  if (file === undefined) throw configMissingError(given)
  const value = await load(file)
  if (typeof value === 'object' && value !== null)
    return { baseDir: dirname(file), ...value } as TenantryConfig<unknown>
  throw new TenantryError('config-unreadable', `${basename(file)} has no configuration as its default export.`, {
    hint: "Write: export default defineConfig({ models: ... }), with defineConfig from 'tenantry'.",
  })
}

/**
 * Returns the project's folder, without reading its configuration: that of the given file, or of the nearest one; else
 * the working directory.
 *
 * @throws `config-missing` for a given file that is missing
 */
export function projectFolder(given: string | undefined): string {
  const file = fileOf(given)
  if (file !== undefined) return dirname(file)
  if (given !== undefined) throw configMissingError(given)
  return process.cwd()
}

function fileOf(given: string | undefined): string | undefined {
  const file = given === undefined ? findConfig(process.cwd()) : resolve(given)
  return file !== undefined && existsSync(file) ? file : undefined
}

/** Finds the nearest configuration file, from a folder upwards. */
function findConfig(folder: string): string | undefined {
  const found = configFileNames.map((name) => join(folder, name)).find((file) => existsSync(file))
  const parent = dirname(folder)
  return found ?? (parent === folder ? undefined : findConfig(parent))
}

async function load(file: string): Promise<unknown> {
  try {
    const { default: value } = (await import(pathToFileURL(file).href)) as { default?: unknown }
    return await withoutWrapper(value)
  } catch (error) {
    if (error instanceof TenantryError) throw error
    if (currentLoader !== undefined || !isForLoader(error)) throw unreadableError(file, error)
    const loader = findLoader(file)
    if (loader === undefined) throw unreadableError(file, error)
    throw new RanElsewhere(await runThrough(loader))
  }
}

/** Unwraps a default export. Some loaders (jiti) make a CommonJS module of the file, which has it one level deeper. */
function withoutWrapper(value: unknown): unknown {
  return typeof value === 'object' && value !== null && '__esModule' in value && 'default' in value
    ? value.default
    : value
}

const loaderCodes: ReadonlySet<unknown> = new Set([
  'ERR_INVALID_TYPESCRIPT_SYNTAX',
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'ERR_MODULE_NOT_FOUND',
])

/**
 * True if the project's loader may be able to read the file. Decorators stay when Node strips types, and are no
 * JavaScript.
 */
function isForLoader(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  return (error instanceof SyntaxError && !isThrownByCode(error)) || ('code' in error && loaderCodes.has(error.code))
}

/**
 * True if code of the file threw the error, such as JSON.parse. A file that cannot be compiled has not run, and is in
 * no frame of the stack.
 */
function isThrownByCode(error: Error): boolean {
  return throwingFrame(error) !== undefined
}

function unreadableError(file: string, cause: unknown): TenantryError {
  const name = basename(file)
  const [, missing] = cause instanceof Error ? (/^Cannot find package '([^']+)'/.exec(cause.message) ?? []) : []
  if (missing !== undefined) {
    return new TenantryError('config-unreadable', `${name} cannot be read: the package ${missing} is not installed.`, {
      cause,
      hint: `npm install ${missing}; or, where it is a path of tsconfig.json, install a loader (${loaderNames.join(', ')}).`,
    })
  }
  const isLoaders = currentLoader !== undefined && cause instanceof Error && !isThrownByCode(cause)
  const place = placeInCode(cause, file)
  const text = `${cause instanceof Error ? cause.message : String(cause)}${place === undefined ? '' : ` (${place})`}`
  if (!isForLoader(cause) && !isLoaders) {
    return new TenantryError('config-unreadable', `${name} throws an error: ${text}`, {
      cause,
      hint: 'The file itself, or one of its imports, throws it. See the stack: --verbose',
    })
  }
  const by = currentLoader ?? 'Node.js itself'
  const hint =
    currentLoader === undefined
      ? `Where its syntax is the reason: install a loader (${loaderNames.join(', ')}), which is then used, or name another by NODE_OPTIONS=--import=...`
      : 'Check the file and its imports.'
  return new TenantryError('config-unreadable', `${name} cannot be read by ${by}: ${text}`, { cause, hint })
}

function configMissingError(given: string | undefined): TenantryError {
  const message = given === undefined ? `There is no ${configFileNames[0]} here.` : `There is no file ${given}.`
  return new TenantryError('config-missing', message, {
    hint: 'Run "npx tenantry init" to write one, or name it: --config <file>.',
  })
}
