import type { NodePgClient } from 'drizzle-orm/node-postgres'
import type { ConnectionPool } from '../../server/port.ts'

/** A tenant's connections as Drizzle takes them. It tells a pool by the name of its class, and only then leases for a transaction. */
export class DrizzlePool {
  readonly #pool: ConnectionPool

  constructor(pool: ConnectionPool) {
    this.#pool = pool
  }

  /** Returns it under the type of `pg`'s own, of which Drizzle uses `query` and `connect`. */
  asClient(): NodePgClient {
    return this as unknown as NodePgClient
  }

  query(query: unknown, values?: unknown): unknown {
    return this.#pool.query(query, values)
  }

  connect(): Promise<unknown> {
    return this.#pool.connect()
  }
}
