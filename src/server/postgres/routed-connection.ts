import type { Socket } from 'node:net'
import type { Client } from 'pg'
import type { ServerConnection } from '../port.ts'
import {
  cutClient,
  endClient,
  forgetPrepared,
  forgetStatement,
  onceReady,
  onServerError,
  processId,
  typeParser,
} from './client.ts'
import { endsSession, type ErrorContext, isOutdatedStatement, toTenantryError } from './errors.ts'
import { quoteName } from '../../kernel/quoting.ts'

/** Differences of a connection that does not lead to the server itself. */
export interface Indirect {
  /** The number in place of the server's process id. */
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
    // The server may end it with the very bytes that report that it is ready.
    if (connection.broken) throw new Error('Connection terminated unexpectedly')
  } catch (error) {
    cutClient(client)
    throw toTenantryError(error, context, 'connect')
  }
  return connection
}

/** The time that the server has to close a connection that was ended, in milliseconds: nothing is at stake any more. */
const closingMs = 1_000

/** Parts of a client that are missing from the driver's types. */
interface Readiness {
  readonly readyForQuery?: boolean
}

class RoutedConnection implements ServerConnection {
  readonly #client: Client
  readonly #shownId: number | undefined
  readonly #listeners = new Set<() => void>()
  /** The cursor that was opened last. */
  #cursor: Cursor | undefined
  #ended = false
  /**
   * True after the server has reported an error, and not yet the resulting state of the transaction; the driver still
   * has the old one.
   */
  #isUnsettled = false
  /** The names of prepared statements that fail since a table was changed. */
  readonly #outdated = new Set<string>()
  broken = false

  constructor(client: Client, shownId: number | undefined) {
    this.#client = client
    this.#shownId = shownId
    // The statement under way fails by itself; only the count of connections has to follow.
    client.on('error', () => this.#end())
    client.once('end', () => this.#end())
    onServerError(client, (error) => this.#onServerError(error))
  }

  get processID(): number | undefined {
    return this.#shownId ?? processId(this.#client)
  }

  get traffic(): number {
    const { bytesRead, bytesWritten } = this.#client.connection.stream as Socket
    return bytesRead + bytesWritten
  }

  get isAwaited(): boolean {
    return (this.#client as Client & Readiness).readyForQuery === false && this.#cursor?.state !== 'idle'
  }

  query(query: unknown, values?: unknown): unknown {
    const send = () => this.#client.query(query as string, values as unknown[])
    if (this.#outdated.size > 0 && this.#isIdle()) this.#deallocate()
    const name = preparedName(query)
    if (name !== undefined) return this.#sendPrepared(name, send)
    const running: unknown = send()
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
    const silent = setTimeout(() => this.cut(), closingMs)
    await endClient(this.#client)
    clearTimeout(silent)
  }

  cut(): void {
    cutClient(this.#client)
  }

  /** True if it has no statement under way, and no transaction open. */
  #isIdle(): boolean {
    return (this.#client as Client & Readiness).readyForQuery === true && !this.inTransaction()
  }

  /**
   * Sends a prepared statement, and again if a change of its table has made it fail, before it did anything. In a
   * transaction, which has failed with it, the caller has to repeat all; then it is prepared anew.
   */
  #sendPrepared(name: string, send: () => unknown): unknown {
    const isAlone = this.#isIdle()
    const running = send()
    if (!(running instanceof Promise)) return running
    return running.catch((error: unknown) => {
      // A pooler renames prepared statements.
      if (!isOutdatedStatement(error) || this.#shownId !== undefined) throw error
      this.#outdated.add(name)
      if (!isAlone) throw error
      this.#deallocate()
      return send()
    })
  }

  /** Lets outdated statements be prepared anew. */
  #deallocate(): void {
    for (const name of this.#outdated) {
      // Called before the driver sends the next statement. An error is that of the next one, too.
      const forget = () => forgetStatement(this.#client, name)
      this.#client.query(`deallocate ${quoteName(name)}`, forget)
    }
    this.#outdated.clear()
  }

  /**
   * Makes a cursor closable: when it is closed, the driver's cursor waits for an answer that a lost connection never
   * gives.
   */
  #closable(cursor: Cursor): Cursor {
    this.#cursor = cursor
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

  /** Receives every error. Listening also for readiness would be a call for every statement. */
  #onServerError(error: unknown): void {
    // The server reports the end of the session a moment before the connection closes.
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

/** Returns the name under which a query is prepared. */
function preparedName(query: unknown): string | undefined {
  if (typeof query !== 'object' || query === null || !('name' in query)) return undefined
  return typeof query.name === 'string' && query.name !== '' ? query.name : undefined
}

interface Cursor {
  read: unknown
  /** The driver's state: `idle` while it waits for its reader. */
  readonly state?: string
  close(): Promise<void>
}

function isCursor(value: unknown): value is Cursor {
  return typeof value === 'object' && value !== null && 'read' in value && 'close' in value
}
