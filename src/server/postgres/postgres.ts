import { parseIdentifier } from '../../kernel/names.ts'
import {
  durationMs,
  identifier,
  optionsOf,
  parsed,
  positiveInteger,
  positiveMs,
  readOptions,
} from '../../kernel/options.ts'
import type { Server } from '../port.ts'
import { graceMs } from './client.ts'
import { parseConnectionUrl, urlText } from './connection-fields.ts'
import { parsePooler, type PoolerOptions, poolerSchema } from './pooler.ts'
import { PostgresServer } from './server.ts'

/** Options of a PostgreSQL server. */
export interface PostgresOptions {
  /** `postgresql://user:password@host:port/maintenance-database`; absent parts come from PGHOST and so on. */
  readonly url: string | URL
  /** The name of the server in the catalog: chosen once, not changed. Default `main`. */
  readonly name?: string
  /**
   * The number of connections that tenants' work may hold on this server at once, in all processes of the installation
   * together. Default 50, or less if the server has less room.
   */
  readonly maxConnections?: number
  /** The database from which CREATE DATABASE is issued. Default: the database of the URL, or `postgres`. */
  readonly maintenanceDatabase?: string
  /** Time limit for establishing a connection, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number
  /**
   * The longest wait of administration for a connection while the server has none left, in milliseconds; then it fails
   * with `too-many-connections`. Default 60,000; 0 for not at all.
   */
  readonly busyTimeoutMs?: number
  /** Time limit for one administrative statement, in milliseconds. Default 60,000; 0 for none. */
  readonly statementTimeoutMs?: number
  /** The pooler, such as PgBouncer, for tenants' work. All other connections reach the server itself. Default: none. */
  readonly pooler?: PoolerOptions
}

const schema = optionsOf<PostgresOptions>(
  {
    url: parsed(urlText),
    name: identifier('server'),
    maxConnections: positiveInteger,
    maintenanceDatabase: identifier('maintenance database'),
    connectTimeoutMs: positiveMs,
    busyTimeoutMs: durationMs,
    statementTimeoutMs: durationMs,
    pooler: poolerSchema,
  },
  'url',
)

/** The longest wait of an administrative statement for one lock, in milliseconds. */
const lockMs = 5_000

/**
 * Makes a PostgreSQL server of its URL. Nothing is connected yet.
 *
 * @throws `invalid-url`, `invalid-name`, `invalid-option`
 */
export function postgres(options: PostgresOptions): Server {
  const read = readOptions('postgres()', schema, options)
  const fields = parseConnectionUrl(read.url)
  return new PostgresServer(fields, {
    name: parseIdentifier(read.name ?? 'main', 'server'),
    maxConnections: read.maxConnections ?? 50,
    maintenanceDatabase: parseIdentifier(
      read.maintenanceDatabase ?? fields.database ?? 'postgres',
      'maintenance database',
    ),
    limits: {
      connectMs: read.connectTimeoutMs ?? 10_000,
      statementMs: read.statementTimeoutMs ?? 60_000,
      graceMs,
      lockMs,
    },
    busyMs: read.busyTimeoutMs ?? 60_000,
    pooler: read.pooler === undefined ? undefined : parsePooler(read.pooler),
  })
}
