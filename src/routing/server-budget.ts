import { inTime } from '../kernel/abort.ts'
import type { Identifier } from '../kernel/names.ts'
import type { SessionMark } from '../server/occupancy.ts'
import type { OpenOptions, Server, ServerConnection, SessionDefaults } from '../server/port.ts'
import { busyError, type Scarcity } from './busy-error.ts'
import { closedError } from './closed-error.ts'
import type { Lease } from './lease.ts'
import { Scheduler, type SchedulerOptions } from './scheduler.ts'

/** The part of a server that a budget uses. */
export type BudgetServer = Pick<Server, 'name' | 'maxConnections' | 'open' | 'cancel' | 'examine'>

/** Options of a budget. */
export interface BudgetOptions extends SchedulerOptions {
  readonly server: BudgetServer
  /** The defaults of tenants' sessions. */
  readonly session?: SessionDefaults
  /** Resets a connection in full when it is released; by default only an open transaction is rolled back. */
  readonly reset?: boolean
}

/** The number of connections that a budget may have open. */
export interface Allowance {
  /** The mark of the budget's sessions on the server. */
  readonly mark?: SessionMark | undefined
  /** Sets the number of connections that may be open, by `setCapacity`, from now on; reads the number that are. */
  serve(budget: Pick<ServerBudget, 'open' | 'setCapacity'>): void
  /** Makes sure that the last capacity holds. Called before a connection is opened. */
  ensure(): Promise<void>
  /** True if it still holds, as far as this process has noticed. */
  holds(): boolean
  /** Called when a connection of the budget was closed. */
  onClosed(): void
  /** The number of other processes that share the connections, for error messages. */
  readonly others: number
}

/** The time that a connection that was idle for long has to answer a check, in milliseconds. */
const answerMs = 2_000
/** The time after which an opening is slow (a lock, a lost packet) and does not delay others, in milliseconds. */
const slowOpeningMs = 250

/**
 * The connections that this process may hold on one server, shared by all tenants there. A {@link Scheduler} decides who
 * gets which; the budget opens, checks, resets and closes them.
 */
export class ServerBudget {
  readonly #options: BudgetOptions
  readonly #allowance: Allowance
  readonly #scheduler: Scheduler<ServerConnection, Lease>
  readonly #closing = new Map<ServerConnection, Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  readonly #drained = Promise.withResolvers<void>()

  constructor(options: BudgetOptions, allowance: Allowance) {
    this.#options = options
    this.#allowance = allowance
    this.#scheduler = new Scheduler(options, {
      grant: (lease, connection, now) => lease.grant(connection, now),
      refuse: (lease, reason) => lease.refuse(reason === 'closed' ? closedError() : busyError(lease, this.#scarcity())),
      open: (lease, replaced) => void this.#open(lease, replaced),
      check: (_, connection) => void this.#check(connection),
      close: (connection) => void this.#close(connection),
      wake: (at) => this.#wake(at),
    })
    allowance.serve(this)
  }

  /** The number of connections, including opening and closing ones. */
  get open(): number {
    return this.#scheduler.open
  }

  /** The number of connections that there may be at this moment; the configured number until it is known. */
  get capacity(): number {
    return this.#scheduler.capacity || this.#options.server.maxConnections
  }

  /** The current leases. */
  get leases(): Iterable<Lease> {
    return this.#scheduler.leases()
  }

  /** Sets the number of connections that may be open. Surplus idle ones are closed now, leased ones on release. */
  setCapacity(capacity: number): void {
    this.#scheduler.setCapacity(capacity, performance.now())
  }

  /**
   * Leases a connection, at once or when one is free; see {@link release}. Refuses with `pool-timeout`, `closed`,
   * `credentials-unreadable` and the errors of connecting.
   */
  acquire(lease: Lease): void {
    if (this.#scheduler.capacity > 0 || this.#scheduler.isClosed) this.#request(lease)
    else
      this.#allowance.ensure().then(
        () => this.#request(lease),
        (error: unknown) => lease.refuse(error),
      )
  }

  /** Closes the idle connections to a database. */
  leave(database: Identifier): void {
    this.#scheduler.leave(database)
  }

  /** Cancels what one of its connections does, on a connection beside the budget. */
  cancel(...what: Parameters<Server['cancel']>): Promise<void> {
    return this.#options.server.cancel(...what)
  }

  /** Reads, on a connection beside the budget, the server's state of a leased one. */
  async examine(lease: Lease): ReturnType<Server['examine']> {
    return this.#options.server.examine(lease.row.database, lease.processID, lease.login())
  }

  /** Takes a connection back: an open transaction is rolled back; a broken connection is dropped. */
  release(connection: ServerConnection, destroy: boolean): Promise<void> | undefined {
    if (destroy || this.#isClean(connection)) return this.#takeBack(connection, !destroy)
    return cleaned(connection, this.#options).then((isClean) => this.#takeBack(connection, isClean))
  }

  /** Refuses new work, waits at most `deadlineMs` milliseconds for work under way, and then ends it. */
  async close(deadlineMs: number): Promise<void> {
    this.#scheduler.close()
    clearTimeout(this.#timer)
    this.#notifyDrained()
    await inTime(this.#drained.promise, deadlineMs)
    for (const { origin } of this.leases) void this.#close(origin)
    await Promise.all(this.#closing.values())
  }

  #request(lease: Lease): void {
    this.#scheduler.request(lease, performance.now())
  }

  /** Closes first and opens then, so that the server never sees more than the budget. */
  async #open(lease: Lease, replaced: ServerConnection | undefined): Promise<void> {
    const { server, session } = this.#options
    const slow = setTimeout(() => this.#scheduler.slow(lease, performance.now()), slowOpeningMs)
    try {
      if (replaced !== undefined) await this.#close(replaced)
      await this.#allowance.ensure()
      if (!this.#scheduler.starts(lease, performance.now())) return this.#allowance.onClosed()
      const options: OpenOptions = { session, login: lease.login(), mark: this.#allowance.mark }
      const connection = await server.open(lease.row.database, options)
      this.#scheduler.opened(lease, connection, this.#allowance.holds(), performance.now())
      connection.onEnd(() => this.#ended(connection))
    } catch (error) {
      this.#scheduler.openFailed(lease, performance.now())
      this.#allowance.onClosed()
      lease.refuse(error)
    } finally {
      clearTimeout(slow)
    }
  }

  async #check(connection: ServerConnection): Promise<void> {
    const isAlive = await isUsable(connection)
    this.#scheduler.checked(connection, isAlive, performance.now())
  }

  #takeBack(connection: ServerConnection, isReusable: boolean): Promise<void> | undefined {
    this.#scheduler.released(connection, isReusable, performance.now())
    this.#notifyDrained()
    return this.#closing.get(connection)
  }

  #close(connection: ServerConnection): Promise<void> {
    const closing = connection.close()
    this.#closing.set(connection, closing)
    return closing
  }

  #ended(connection: ServerConnection): void {
    this.#closing.delete(connection)
    this.#scheduler.ended(connection, performance.now())
    this.#allowance.onClosed()
    this.#notifyDrained()
  }

  /** One timer for all: setting one for each request takes longer than most of them wait. */
  #wake(at: number): void {
    clearTimeout(this.#timer)
    const expire = () => this.#scheduler.expire(performance.now())
    this.#timer = setTimeout(expire, Math.max(1, Math.ceil(at - performance.now()))).unref()
  }

  #scarcity(): Scarcity {
    const { server, waitMs } = this.#options
    const { others } = this.#allowance
    return { server, waitMs, others, capacity: this.#scheduler.capacity, leases: [...this.leases] }
  }

  #isClean(connection: ServerConnection): boolean {
    return !connection.broken && !connection.inTransaction() && this.#options.reset !== true
  }

  #notifyDrained(): void {
    if (this.#scheduler.isClosed && [...this.leases].length === 0) this.#drained.resolve()
  }
}

/** Rolls back an open transaction. @returns true if the connection can be reused */
async function cleaned(connection: ServerConnection, { reset }: BudgetOptions): Promise<boolean> {
  if (connection.broken) return false
  try {
    if (connection.inTransaction()) await connection.rollback()
    if (reset) await connection.reset()
    return true
  } catch {
    return false
  }
}

/** True if a connection still answers. */
async function isUsable(connection: ServerConnection): Promise<boolean> {
  // Closing a connection with a statement under way aborts it.
  const silent = setTimeout(() => void connection.close(), answerMs)
  try {
    await connection.query('select 1')
    return true
  } catch {
    return false
  } finally {
    clearTimeout(silent)
  }
}
