import { AsyncLocalStorage } from 'node:async_hooks'
import { PrismaPg } from '@prisma/adapter-pg'
import type { ConnectionPool } from '../../server/port.ts'
import { cancellableConnection } from '../handles-over.ts'

/** The signal that ends the running query. It is set around queries alone. */
export const querySignal = new AsyncLocalStorage<AbortSignal | undefined>()

const nothing = () => undefined

/** Prisma's adapter of PostgreSQL, on a tenant's connections. */
export class TenantAdapter extends PrismaPg {
  readonly #pool: ConnectionPool

  constructor(pool: ConnectionPool) {
    // Should a later version go past the methods below, then it must not reach any server.
    super({ host: 'tenantry.invalid' })
    this.#pool = pool
  }

  /** Prisma takes a pool of its own copy of `pg` alone. One that was just made has no connections: it is given ours. */
  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect()
    Object.assign(adapter.underlyingDriver(), {
      connect: () => this.#connection(),
      query: (query: unknown) => this.#query(query),
      end: async () => undefined,
    })
    return adapter
  }

  async #connection() {
    const connection = cancellableConnection(await this.#pool.connect(), this.#pool, () => querySignal.getStore())
    // Prisma listens for errors during a transaction, and its next query fails anyway.
    return Object.assign(connection, { on: nothing, removeListener: nothing })
  }

  async #query(query: unknown): Promise<unknown> {
    if (querySignal.getStore() === undefined) return this.#pool.query(query)
    const connection = await this.#connection()
    try {
      return await connection.query(query)
    } finally {
      connection.release()
    }
  }
}
