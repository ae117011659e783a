import { AsyncLocalStorage } from 'node:async_hooks'
import { ConcurrencyLimit } from '../kernel/concurrency.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { ServerConnection } from '../server/port.ts'

/**
 * What all fleet queries of a process together may have of one server's budget: half of it. Connections that are lent
 * inside of {@link run} are counted, and wait for one another; all other work finds the other half.
 *
 * One tenant fewer than there are connections is worked on at once. So work that needs a second connection while it has
 * one, such as for a query beside its transaction, always comes by it.
 */
export class FleetShare {
  readonly #connections: () => number
  readonly #waitMs: number
  readonly #inside = new AsyncLocalStorage<boolean>()
  readonly #turns: ConcurrencyLimit
  readonly #leases: ConcurrencyLimit
  /** What gives back the place of the lease that a connection is lent for, or was last. */
  readonly #places = new WeakMap<ServerConnection, () => void>()

  /**
   * @param budget how many connections the process may hold on the server at this moment
   * @param waitMs how long work waits for a connection of the share, in milliseconds
   */
  constructor(budget: () => number, waitMs: number) {
    this.#connections = () => Math.min(budget(), Math.max(2, Math.floor(budget() / 2)))
    this.#waitMs = waitMs
    this.#turns = new ConcurrencyLimit(() => Math.max(1, this.#connections() - 1))
    this.#leases = new ConcurrencyLimit(this.#connections)
  }

  /** Runs a tenant's part of a fleet query when its turn comes. @throws `aborted` if the signal comes first */
  run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#turns.run(() => this.#inside.run(true, work), signal)
  }

  /** Whether the running code is part of a fleet query: outside of one there is nothing to wait for. */
  get isInside(): boolean {
    return this.#inside.getStore() === true
  }

  /**
   * Waits for a place among the connections of the share.
   *
   * @returns what gives the place back
   * @throws `pool-timeout`
   */
  async enter(): Promise<() => void> {
    const limit = AbortSignal.timeout(this.#waitMs)
    try {
      return await this.#leases.enter(limit)
    } catch (error) {
      throw limit.aborted ? this.#busyError(error) : error
    }
  }

  /** Gives a place back also when the connection that was lent ends, since whoever has it may never tell. */
  watch(connection: ServerConnection, leave: () => void): void {
    const isNew = !this.#places.has(connection)
    this.#places.set(connection, leave)
    if (isNew) connection.onEnd(() => this.#places.get(connection)?.())
  }

  #busyError(cause: unknown): TenantryError {
    const message = `The ${this.#connections()} connections that a fleet query may have were busy for ${this.#waitMs} ms.`
    return new TenantryError('pool-timeout', message, {
      cause,
      hint: 'Ask for fewer connections at once for each tenant, or raise maxConnections.',
    })
  }
}
