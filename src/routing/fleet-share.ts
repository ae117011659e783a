import { AsyncLocalStorage } from 'node:async_hooks'
import { ConcurrencyLimit } from '../kernel/concurrency.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { ServerConnection } from '../server/port.ts'

/**
 * The connections of one server's budget that all fleet queries of a process together may have: half of it. Leases
 * inside of {@link run} are counted, and wait for one another; all other work has the other half. The number of tenants
 * worked on at once is one less than the number of connections. So work that needs a second connection while it holds
 * one, such as a query beside its transaction, always gets it.
 */
export class FleetShare {
  readonly #connections: () => number
  readonly #waitMs: number
  readonly #inside = new AsyncLocalStorage<boolean>()
  readonly #turns: ConcurrencyLimit
  readonly #leases: ConcurrencyLimit
  /** The callback that frees the place of the current or last lease of a connection. */
  readonly #places = new WeakMap<ServerConnection, () => void>()

  /**
   * @param budget returns the number of connections that the process may hold on the server at this moment
   * @param waitMs the longest wait for a connection of the share, in milliseconds
   */
  constructor(budget: () => number, waitMs: number) {
    this.#connections = () => Math.min(budget(), Math.max(2, Math.floor(budget() / 2)))
    this.#waitMs = waitMs
    this.#turns = new ConcurrencyLimit(() => Math.max(1, this.#connections() - 1))
    this.#leases = new ConcurrencyLimit(this.#connections)
  }

  /** Runs a tenant's part of a fleet query in its turn. @throws `aborted` if the signal comes first */
  run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#turns.run(() => this.#inside.run(true, work), signal)
  }

  /** True if the running code is part of a fleet query; other code does not wait. */
  get isInside(): boolean {
    return this.#inside.getStore() === true
  }

  /**
   * Waits for a place among the connections of the share.
   *
   * @returns a function that frees the place
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

  /** Frees a place also when the leased connection ends, since its holder may never release it. */
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
