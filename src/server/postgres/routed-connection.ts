import type { Client } from 'pg'
import type { ServerConnection } from '../port.ts'
import { type ErrorContext, toTenantryError } from './errors.ts'
import { cutClient, endClient, processId, typeParser } from './client.ts'

/** Connects a client for routing. */
export async function openRoutedConnection(client: Client, context: ErrorContext): Promise<ServerConnection> {
  const connection = new RoutedConnection(client)
  try {
    await client.connect()
  } catch (error) {
    cutClient(client)
    throw toTenantryError(error, context, 'connect')
  }
  return connection
}

class RoutedConnection implements ServerConnection {
  readonly #client: Client
  readonly #listeners: (() => void)[] = []
  #ended = false

  constructor(client: Client) {
    this.#client = client
    const ended = () => this.#end()
    // The statement under way fails by itself; what is left to do is to count the connection as gone.
    client.once('error', ended)
    client.on('error', () => undefined)
    client.once('end', ended)
  }

  get processID(): number | undefined {
    return processId(this.#client)
  }

  query(query: unknown, values?: unknown): unknown {
    return this.#client.query(query as string, values as unknown[])
  }

  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    return typeParser(this.#client, oid, format)
  }

  inTransaction(): boolean {
    return this.#client.getTransactionStatus() !== 'I'
  }

  async rollback(): Promise<void> {
    await this.#client.query('rollback')
  }

  onEnd(listener: () => void): void {
    if (this.#ended) listener()
    else this.#listeners.push(listener)
  }

  async close(): Promise<void> {
    await endClient(this.#client)
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const listener of this.#listeners.splice(0)) listener()
  }
}
