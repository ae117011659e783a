import type { Duplex } from 'node:stream'
import { Client, type ClientBase, type ClientConfig } from 'pg'
import type { Identifier } from '../../kernel/names.ts'
import type { SessionMark } from '../occupancy.ts'
import type { ConnectionFields } from './connection-fields.ts'
import { marked } from './occupancy.ts'

/** Limits on one connection, in milliseconds. */
export interface ConnectionLimits {
  /** Until the connection is established. */
  readonly connectMs: number
  /** For one statement; 0 for none. The server enforces it. */
  readonly statementMs: number
  /**
   * The additional time after which the client drops a connection that does not answer; without it, the client waits.
   */
  readonly graceMs?: number
  /** For one lock that a statement waits for; 0 for none. */
  readonly lockMs: number
  /** For an idle transaction; 0 for none. */
  readonly idleInTransactionMs?: number
}

/** Further settings of a new connection. */
export interface ConnectionDefaults {
  readonly isolationLevel?: string | undefined
  readonly applicationName?: string | undefined
  readonly mark?: SessionMark | undefined
  /** The role to act as. */
  readonly role?: Identifier | undefined
  /**
   * Default `administration`: names mean PostgreSQL's own, see {@link ownNames}. `service` leaves that to the server.
   */
  readonly purpose?: 'administration' | 'service' | undefined
}

/**
 * The search_path of administration. With it, no object that others have created in a database is found by its name
 * alone: neither a function or an operator that fits the arguments better than PostgreSQL's own, nor a temporary table.
 */
export const ownNames = 'pg_catalog,pg_temp'

/** The time of silence after which a connection is checked below PostgreSQL, by TCP keepalive, in milliseconds. */
const keepAliveMs = 10_000

/** The additional time that the other side has to answer, in milliseconds. */
export const graceMs = 5_000

/**
 * The driver's client, whose connection fails if the driver cannot read what the server sends: a longer value than a string
 * can hold, one of a cursor that its parser refuses, or COPY in a cursor. In the driver, such an error would end the
 * process, and with it the service for all tenants.
 */
export class BoundedClient extends Client {
  constructor(config?: ClientConfig) {
    super(config)
    const { connection } = this as Client & ClientParts
    const attach = connection?.attachListeners?.bind(connection)
    if (connection === undefined || attach === undefined) return
    connection.attachListeners = (stream) => {
      const others = stream.listeners('data')
      attach(stream)
      const added = stream.listeners('data').filter((listener) => !others.includes(listener))
      for (const parse of added as ((bytes: Buffer) => void)[]) {
        stream.off('data', parse)
        stream.on('data', (bytes: Buffer) => endIfUnread(stream, () => parse(bytes)))
      }
    }
  }
}

/** Ends the connection if its bytes cannot be read: the driver does not know then which message comes next. */
function endIfUnread(stream: Duplex, parse: () => void): void {
  try {
    parse()
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

/** A client that is not connected yet. */
export function newClient(
  fields: ConnectionFields,
  database: Identifier,
  limits: ConnectionLimits,
  defaults?: ConnectionDefaults,
): Client {
  const client = new BoundedClient(clientConfig(fields, database, limits, defaults))
  const { connection } = client as Client & ClientParts
  connection?.on('parameterStatus', ({ parameterName, parameterValue }) => {
    if (parameterName === 'server_encoding') encodings.set(client, parameterValue)
  })
  return client
}

const encodings = new WeakMap<ClientBase, string>()

/** Returns the encoding of a connection's database, which the server reports at its start. */
export function databaseEncoding(client: ClientBase): string | undefined {
  return encodings.get(client)
}

/** Returns the common configuration of one server's connections, so that all interpret its URL alike. */
export function clientConfig(
  fields: ConnectionFields,
  database: Identifier,
  limits: ConnectionLimits,
  { isolationLevel, applicationName, mark, role, purpose }: ConnectionDefaults = {},
): ClientConfig {
  const config: ClientConfig = {
    host: fields.host,
    port: fields.port,
    user: fields.user,
    database,
    application_name: marked(applicationName ?? fields.applicationName ?? 'tenantry', mark),
    connectionTimeoutMillis: limits.connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
  }
  if (fields.password !== undefined) config.password = fields.password.reveal()
  if (fields.ssl !== undefined) config.ssl = fields.ssl
  const options = [
    fields.options,
    isolationLevel && `-c default_transaction_isolation=${escapeOption(isolationLevel)}`,
    role && `-c role=${escapeOption(role)}`,
    // Last, so that it overrides the URL's own; it overrides the settings of roles and databases as well.
    purpose !== 'service' && `-c search_path=${ownNames}`,
  ]
  if (options.some(Boolean)) config.options = options.filter(Boolean).join(' ')
  if (limits.statementMs > 0) {
    config.statement_timeout = limits.statementMs
    if (limits.graceMs) config.query_timeout = limits.statementMs + limits.graceMs
  }
  if (limits.lockMs > 0) config.lock_timeout = limits.lockMs
  if (limits.idleInTransactionMs) config.idle_in_transaction_session_timeout = limits.idleInTransactionMs
  return config
}

/**
 * Returns the initial settings of a session, for one that cannot send them while it connects: names and values of
 * parameters.
 */
export function sessionSettings(
  { statementMs, lockMs, idleInTransactionMs = 0 }: ConnectionLimits,
  { isolationLevel }: Pick<ConnectionDefaults, 'isolationLevel'>,
): readonly (readonly [string, string])[] {
  const limits = [
    ['statement_timeout', statementMs],
    ['lock_timeout', lockMs],
    ['idle_in_transaction_session_timeout', idleInTransactionMs],
  ] as const
  const settings = limits.filter(([, ms]) => ms > 0).map(([name, ms]) => [name, String(ms)] as const)
  return isolationLevel === undefined ? settings : [...settings, ['default_transaction_isolation', isolationLevel]]
}

/** Escapes spaces and backslashes for PostgreSQL's command-line options (libpq, "options"). */
export function escapeOption(value: string): string {
  return value.replaceAll(/[\\\s]/g, '\\$&')
}

/** A message of the server. https://www.postgresql.org/docs/current/protocol-message-formats.html */
interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

/** Parts of a client that are missing from the driver's types. */
interface ClientParts {
  readonly processID?: number
  readonly connection?: {
    readonly stream?: { destroy(): void }
    attachListeners?: (stream: Duplex) => void
    parsedStatements?: Record<string, string>
    on(event: 'errorMessage', listener: (error: unknown) => void): void
    on(event: 'commandComplete', listener: () => void): void
    off(event: 'commandComplete', listener: () => void): void
    on(event: 'parameterStatus', listener: (message: ParameterStatus) => void): void
    prependOnceListener(event: 'readyForQuery', listener: () => void): void
  }
}

/** The server's process id of a connection. */
export function processId(client: ClientBase): number | undefined {
  return (client as ClientBase & ClientParts).processID
}

/** Returns the parser of a type's values on a connection. The driver's types say `any`. */
export function typeParser(client: ClientBase, oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return client.getTypeParser(oid, format) as (value: string) => unknown
}

/** Makes the driver forget the prepared statements, as the server has: otherwise it would not send them again. */
export function forgetPrepared(client: Client): void {
  const { connection } = client as Client & ClientParts
  if (connection !== undefined) connection.parsedStatements = {}
}

/** Makes the driver forget one prepared statement. */
export function forgetStatement(client: Client, name: string): void {
  const { connection } = client as Client & ClientParts
  delete connection?.parsedStatements?.[name]
}

/** Calls back with every statement that the server completes. @returns an unsubscribe function */
export function onCompleted(client: Client, listener: () => void): () => void {
  const { connection } = client as Client & ClientParts
  connection?.on('commandComplete', listener)
  return () => connection?.off('commandComplete', listener)
}

/** Calls back with every error that the server reports, for any statement. */
export function onServerError(client: Client, listener: (error: unknown) => void): void {
  const { connection } = client as Client & ClientParts
  connection?.on('errorMessage', listener)
}

/** Calls back once, when the server is ready for the next query, before the driver looks for one. */
export function onceReady(client: Client, listener: () => void): void {
  const { connection } = client as Client & ClientParts
  connection?.prependOnceListener('readyForQuery', listener)
}

/** Closes the connection at once, during any statement. */
export function cutClient(client: Client): void {
  const { connection } = client as Client & ClientParts
  connection?.stream?.destroy()
}

/** Ends a connection in order; one that does not answer is cut. Never fails: it has ended in any case. */
export async function endClient(client: Client): Promise<void> {
  const cut = setTimeout(() => cutClient(client), graceMs)
  try {
    await client.end()
  } catch {
    // It had ended already, and takes no message.
  } finally {
    clearTimeout(cut)
  }
}
