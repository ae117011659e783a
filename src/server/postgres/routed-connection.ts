import type { Client } from 'pg'
import type { ServerConnection } from '../port.ts'
import { cutClient, endClient, forgetPrepared, onceReady, onServerError, processId, typeParser } from './client.ts'
import { endsSession, type ErrorContext, toTenantryError } from './errors.ts'

/** What is done otherwise for a connection that does not lead to the server itself. */
export interface Indirect {
  /** What stands for the server's process id. */
  readonly processId?: number
  /** Makes the session ready. */
  readonly begin?: () => Promise<void>
}

/** Connects a client for routing. */
export async function openRoutedConnection(
  client: Client,
  context: ErrorContext,
  indirect: Indirect = {},
): Promise<ServerConnection> {
  const connection = new RoutedConnection(client, indirect.processId)
  try {
    await client.connect()
    await indirect.begin?.()
    // The server may take it back with the very bytes that say it is ready.
    if (connection.broken) throw new Error('Connection terminated unexpectedly')
  } catch (error) {
    cutClient(client)
    throw toTenantryError(error, context, 'connect')
  }
  return connection
}

class RoutedConnection implements ServerConnection {
  readonly #client: Client
  readonly #shownId: number | undefined
  readonly #listeners = new Set<() => void>()
  #ended = false
  /** The server has reported an error, and not yet in which state that left the transaction; the driver says the old one. */
  #isUnsettled = false
  broken = false

  constructor(client: Client, shownId: number | undefined) {
    this.#client = client
    this.#shownId = shownId
    // The statement under way fails by itself; what is left to do is to count the connection as gone.
    client.on('error', () => this.#end())
    client.once('end', () => this.#end())
    onServerError(client, (error) => this.#hear(error))
  }

  get processID(): number | undefined {
    return this.#shownId ?? processId(this.#client)
  }

  query(query: unknown, values?: unknown): unknown {
    const running: unknown = this.#client.query(query as string, values as unknown[])
    return isCursor(running) ? this.#closable(running) : running
  }

  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    return typeParser(this.#client, oid, format)
  }

  setTypeParser(oid: number, parse: (text: string) => unknown): void {
    this.#client.setTypeParser(oid, parse)
  }

  inTransaction(): boolean {
    return this.#isUnsettled || this.#client.getTransactionStatus() !== 'I'
  }

  async rollback(): Promise<void> {
    await this.#client.query('rollback')
  }

  async reset(): Promise<void> {
    await this.#client.query('discard all')
    forgetPrepared(this.#client)
  }

  onEnd(listener: () => void): void {
    if (this.#ended) listener()
    else this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    await endClient(this.#client)
  }

  /** The driver's cursor waits, when it is closed, for an answer that a connection which is gone never gives. */
  #closable(cursor: Cursor): Cursor {
    const close = cursor.close.bind(cursor)
    cursor.close = () =>
      new Promise((resolve, reject) => {
        this.onEnd(resolve)
        void close()
          .then(resolve, reject)
          .finally(() => this.#listeners.delete(resolve))
      })
    return cursor
  }

  /** Of every error: to hear also whenever the server is ready would be a call for every statement. */
  #hear(error: unknown): void {
    // The server says that it ends the session a moment before the connection closes.
    this.broken ||= endsSession(error)
    if (!this.#isUnsettled) onceReady(this.#client, () => (this.#isUnsettled = false))
    this.#isUnsettled = true
  }

  #end(): void {
    this.broken = true
    this.#ended = true
    for (const listener of this.#listeners) listener()
    this.#listeners.clear()
  }
}

interface Cursor {
  read: unknown
  close(): Promise<void>
}

function isCursor(value: unknown): value is Cursor {
  return typeof value === 'object' && value !== null && 'read' in value && 'close' in value
}
