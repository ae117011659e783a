import { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { ConnectionPool, PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { ServerBudget } from './server-budget.ts'

/** Gives the leave to work on the pool's tenant, or throws why not. */
export type Gate = () => Promise<Admission>

/**
 * A tenant's view on its server's budget, in the shape of a `pg` pool. It has no connections of its own, and what it
 * lends goes to this tenant's database only, while the tenant is in service. Ending it does nothing.
 */
export class TenantPool implements ConnectionPool {
  readonly options: object = {}
  readonly #budget: ServerBudget
  readonly #database: Identifier
  readonly #gate: Gate

  constructor(budget: ServerBudget, database: Identifier, gate: Gate) {
    this.#budget = budget
    this.#database = database
    this.#gate = gate
  }

  async connect(): Promise<PooledConnection> {
    for (;;) {
      const admission = await this.#gate()
      const connection = await this.#acquire(admission)
      if (connection === undefined) continue
      const giveBack = (destroy: boolean) =>
        // What was lent before an eviction is not kept after it: somebody waits for the database to be left.
        this.#budget.release(this.#database, connection, destroy || !admission.isValid())
      if (admission.isValid()) return new Lease(connection, giveBack)
      await giveBack(true)
    }
  }

  /** A connection; undefined when there was none because the tenant was taken out of service meanwhile. */
  async #acquire(admission: Admission): Promise<ServerConnection | undefined> {
    try {
      return await this.#budget.acquire(this.#database)
    } catch (error) {
      const isClosed = error instanceof TenantryError && error.code === 'closed'
      if (isClosed || admission.isValid()) throw error
      return undefined
    }
  }

  control(sql: string): Promise<void> {
    return this.#budget.control(this.#database, sql)
  }

  async query(query: unknown, values?: unknown): Promise<unknown> {
    const connection = await this.connect()
    try {
      return await connection.query(query, values)
    } finally {
      connection.release()
    }
  }

  async end(): Promise<void> {}
}

/** A connection borrowed for one piece of work. Whoever keeps it after giving it back can do nothing with it. */
class Lease implements PooledConnection {
  readonly #connection: ServerConnection
  readonly #giveBack: (destroy: boolean) => Promise<void>
  #released = false

  constructor(connection: ServerConnection, giveBack: (destroy: boolean) => Promise<void>) {
    this.#connection = connection
    this.#giveBack = giveBack
  }

  get processID(): number | undefined {
    return this.#connection.processID
  }

  query(query: unknown, values?: unknown): unknown {
    if (this.#released) throw new TenantryError('closed', 'This connection was given back already.')
    return this.#connection.query(query, values)
  }

  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    return this.#connection.getTypeParser(oid, format)
  }

  release(destroy: boolean | Error = false): void {
    if (this.#released) return
    this.#released = true
    // Giving back never fails: what goes wrong with a connection then ends it.
    void this.#giveBack(destroy !== false)
  }
}
