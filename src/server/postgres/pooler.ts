import { connect } from 'node:net'
import type { Client, QueryConfig } from 'pg'
import { TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import { oneOf, optionsOf, parsed } from '../../kernel/options.ts'
import type { Cancelled, ServerConnection } from '../port.ts'
import { type ConnectionDefaults, type ConnectionLimits, cutClient, newClient, sessionSettings } from './client.ts'
import { type ConnectionFields, parseConnectionUrl, urlText } from './connection-fields.ts'
import { openRoutedConnection } from './routed-connection.ts'

/** The pooler through which tenants' work reaches a server. */
export interface PoolerOptions {
  /** `postgresql://host:port`, and `sslmode` if it is reached over TLS. Default port 6432. */
  readonly url: string | URL
  /**
   * The time at which it reassigns a connection, its `pool_mode`: at the end of a session, or of each transaction,
   * after which the settings of a session are lost. Default `session`.
   */
  readonly mode?: 'session' | 'transaction'
}

type Address = Pick<ConnectionFields, 'host' | 'port' | 'ssl'>

/** The options of a pooler. */
export const poolerSchema = optionsOf<PoolerOptions>(
  {
    url: parsed(urlText),
    mode: oneOf(['session', 'transaction'], "Use the value of pool_mode in the pooler's configuration."),
  },
  'url',
)

/** Makes the pooler of a server's options. @throws `invalid-url` */
export function parsePooler({ url, mode = 'session' }: PoolerOptions): Pooler {
  const { host, port, ssl } = parseConnectionUrl(withDefaultPort(url))
  return new Pooler({ host, port, ssl }, mode)
}

/** Adds the default port, and checks that the URL names neither user nor database: each tenant has its own. */
function withDefaultPort(given: string | URL): string | URL {
  if (!URL.canParse(String(given))) return given
  const url = new URL(given)
  const isMore = [...url.searchParams.keys()].some((name) => ['user', 'password', 'options'].includes(name))
  if (url.username !== '' || url.password !== '' || url.pathname.length > 1 || isMore) {
    throw new TenantryError('invalid-url', 'The URL of a pooler must have only host, port and TLS parameters.', {
      hint: 'Write postgresql://host:port. Each tenant logs in as itself, to its own database.',
    })
  }
  if (url.port === '' && !url.searchParams.has('port')) url.port = '6432'
  return url
}

/**
 * Parts of a client that are missing from its types: the key by which the other side identifies it in a cancel request.
 */
interface CancelKey {
  readonly processID?: number
  readonly secretKey?: number
}

/** The route of tenants' work through a connection pooler, such as PgBouncer. */
export class Pooler {
  readonly mode: 'session' | 'transaction'
  readonly #address: Address
  /** Clients by the number in place of the server's process id, which is unknown behind a pooler. */
  readonly #clients = new Map<number, Client>()
  #lastNumber = 0

  constructor(address: Address, mode: 'session' | 'transaction') {
    this.#address = address
    this.mode = mode
  }

  get description(): string {
    return `${this.#address.host}:${this.#address.port}`
  }

  /** @param fields the login; the address of the server does not matter */
  async open(
    fields: ConnectionFields,
    database: Identifier,
    limits: ConnectionLimits,
    defaults: ConnectionDefaults,
  ): Promise<ServerConnection> {
    // A pooler refuses settings that it cannot make for each of its clients; it accepts only a name for the connection.
    const { applicationName } = defaults
    const through = { ...fields, ...this.#address, options: undefined }
    const client = newClient(
      through,
      database,
      { connectMs: limits.connectMs, statementMs: 0, lockMs: 0 },
      { applicationName, purpose: 'service' },
    )
    const number = ++this.#lastNumber
    const settings = this.mode === 'session' ? sessionSettings(limits, defaults) : []
    const connection = await openRoutedConnection(
      client,
      { server: this.description, user: fields.user, database, isPooled: true },
      { processId: number, begin: () => setSettings(client, settings, limits.connectMs) },
    )
    this.#clients.set(number, client)
    connection.onEnd(() => this.#clients.delete(number))
    return connection
  }

  /** Cancels what a client does. @param number that of the client */
  async cancel(number: number, what: Cancelled): Promise<void> {
    const client = this.#clients.get(number)
    if (client !== undefined && what === 'connection') cutClient(client)
    else if (client !== undefined) await this.#cancel(client)
  }

  /**
   * Sends a cancel request. PostgreSQL's protocol, "Canceling Requests in Progress": the other side closes the
   * connection when it has read it.
   */
  async #cancel({ processID = 0, secretKey = 0 }: Client & CancelKey): Promise<void> {
    const { host, port } = this.#address
    const request = Buffer.alloc(16)
    for (const [place, value] of [16, cancelRequestCode, processID, secretKey].entries()) {
      request.writeInt32BE(value, place * 4)
    }
    const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
    await new Promise<void>((resolve) => {
      socket.setTimeout(cancelMs, () => socket.destroy())
      // A statement that cannot be cancelled continues to its own end.
      socket.once('error', () => undefined)
      socket.once('close', () => resolve())
      // The socket stays open until the other side closes it: PgBouncer 1.18 crashes if the sender closes first.
      socket.write(request)
      socket.resume()
    })
  }
}

const cancelRequestCode = 80_877_102
/** The time limit, above the ten seconds for which PgBouncer keeps such a request waiting (`cancel_wait_timeout`). */
const cancelMs = 15_000

/**
 * Sends the settings of a session in one round trip. The pooler may keep it waiting for a connection, but not for ever.
 */
async function setSettings(
  client: Client,
  settings: readonly (readonly [string, string])[],
  limitMs: number,
): Promise<void> {
  if (settings.length === 0) return
  const calls = settings.map((_, i) => `set_config($${i * 2 + 1}, $${i * 2 + 2}, false)`)
  // The driver's types omit the time limit of one query.
  const query: QueryConfig & { readonly query_timeout: number } = {
    text: `select ${calls.join(', ')}`,
    values: settings.flat(),
    query_timeout: limitMs,
  }
  await client.query(query)
}
