import type { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { SessionMark } from '../server/occupancy.ts'
import type { Cancelled, OpenOptions, Server, ServerConnection, SessionDefaults } from '../server/port.ts'
import { busyError } from './busy-error.ts'
import { closedError } from './closed-error.ts'
import { tenantPart } from './division.ts'
import { IdleConnections } from './idle-connections.ts'
import { OpeningLimit } from './opening-limit.ts'
import { type ConnectionRequest, isSame, type LeasedConnection, type Target } from './target.ts'
import { WaitingLine } from './waiting-line.ts'

/** Options of a budget. */
export interface BudgetOptions {
  readonly server: Server
  /** The longest wait for a connection while all are busy, in milliseconds. */
  readonly waitMs: number
  /** The defaults of tenants' sessions. */
  readonly session?: SessionDefaults
  /**
   * The part of the connections that one tenant may have at once, above 0, at most 1 (default); see {@link tenantPart}.
   */
  readonly tenantShare?: number
  /** Resets a connection in full when it is released; by default only an open transaction is rolled back. */
  readonly resetConnections?: boolean
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

/** The idle time after which a connection is checked before it is leased, in milliseconds. */
const checkedAfterMs = 5_000
/** The time that it has to answer then, in milliseconds. */
const answerMs = 2_000
/** The time after which an opening is slow (a lock, a lost packet) and does not delay others, in milliseconds. */
const slowOpeningMs = 250
/** The part of the openings at once that may evict other tenants' connections for a tenant that has one already. */
const moreAtOnce = 1 / 4

/**
 * The connections that this process may hold on one server, shared by all tenants there. Idle ones are kept, and the
 * least recently used is evicted first. If all are busy, callers wait in a {@link WaitingLine}. A tenant may have all
 * of them while no other waits, or its configured share. Only some are opened at once, see {@link OpeningLimit}: a
 * place in which a connection is being opened keeps no idle one. A caller that waits for an opening gets a connection
 * of its own tenant if one is released before.
 */
export class ServerBudget {
  readonly #options: BudgetOptions
  readonly #allowance: Allowance
  readonly #idle = new IdleConnections((connection) => void this.#discard(connection))
  readonly #busy = new Map<ServerConnection, LeasedConnection>()
  readonly #line: WaitingLine
  #capacity = 0
  /** The connections that the server may see: idle, busy, opening and closing. */
  #open = 0
  /** The closing ones among them. */
  readonly #closing = new Set<ServerConnection>()
  /** The number of connections that are opening, or closing to be replaced, and not slow. */
  #opening = 0
  /** The number of those for tenants that have a connection already. */
  #openingMore = 0
  readonly #openingLimit = new OpeningLimit()
  #closed = false
  #drained: (() => void) | undefined

  constructor(options: BudgetOptions, allowance: Allowance) {
    this.#options = options
    this.#allowance = allowance
    this.#line = new WaitingLine(options.waitMs, ({ target }) => this.#busyError(target))
    allowance.serve(this)
  }

  /** The number of connections, including opening and closing ones. */
  get open(): number {
    return this.#open
  }

  /** The number of connections that there may be at this moment; the configured number until it is known. */
  get capacity(): number {
    return this.#capacity || this.#options.server.maxConnections
  }

  /** The current leases. */
  get leases(): Iterable<LeasedConnection> {
    return this.#busy.values()
  }

  /** Sets the number of connections that may be open. Surplus idle ones are closed now, busy ones on release. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity
    while (this.#kept > capacity && this.#idle.count > 0) void this.#discard(this.#idle.takeOldest())
    this.#serveWaiters()
  }

  /**
   * Leases a connection to a database, at once or when one is free; see {@link release}. Refuses with `pool-timeout`,
   * `closed`, `credentials-unreadable` and the errors of connecting.
   */
  acquire(request: ConnectionRequest): void {
    if (this.#capacity > 0) this.#next(request)
    else
      this.#allowed().then(
        () => this.#next(request),
        (error: unknown) => request.refuse(error),
      )
  }

  /** Closes the idle connections to a database. */
  leave(database: Identifier): void {
    for (const connection of this.#idle.takeAll((target) => target.database === database)) {
      void this.#discard(connection)
    }
  }

  /** Cancels what one of its connections does, on a connection beside the budget. */
  cancel({ database, login }: Target, processID: number, what: Cancelled): Promise<void> {
    return this.#options.server.cancel(database, processID, what, login())
  }

  /** Reads, on a connection beside the budget, the server's state of a leased one. */
  async examine({ connection, request: { target } }: LeasedConnection): ReturnType<Server['examine']> {
    return this.#options.server.examine(target.database, connection.processID, target.login())
  }

  /** Takes a connection back: an open transaction is rolled back; a broken connection is dropped. */
  release(target: Target, connection: ServerConnection, destroy: boolean): Promise<void> | undefined {
    if (destroy || this.#isClean(connection)) return this.#giveBack(target, connection, !destroy)
    return cleaned(connection, this.#options).then((isClean) => this.#giveBack(target, connection, isClean))
  }

  /** Refuses new work, waits at most `deadlineMs` milliseconds for work under way, and then ends it. */
  async close(deadlineMs: number): Promise<void> {
    this.#closed = true
    this.#line.refuseAll(closedError())
    const closing = this.#idle.takeAll().map((connection) => this.#discard(connection))
    if (this.#busy.size > 0) await this.#drain(deadlineMs)
    await Promise.all([...closing, ...[...this.#busy.keys()].map((connection) => this.#discard(connection))])
  }

  /** Takes an idle connection of the tenant, opens one, or queues the request. It is leased as soon as it is ready. */
  #next(request: ConnectionRequest): void {
    // The budget may have been closed during a wait: a request that is queued now would never be served.
    if (this.#closed) return request.refuse(closedError())
    const { target } = request
    const isWithinShare = this.#line.shareOf(target) < this.#most()
    const own = isWithinShare ? this.#idle.take(target) : undefined
    if (own === undefined && !(isWithinShare && this.#mayOpen() && this.#mayDisplace(target)))
      return this.#line.join(request)
    this.#line.count(target, 1)
    if (own === undefined) this.#openFor(request)
    else if (performance.now() - own.since < checkedAfterMs) this.#grant(own.connection, request)
    else void this.#grantLongIdle(own.connection, request)
  }

  /** Waits for the first capacity. */
  async #allowed(): Promise<void> {
    if (!this.#closed) await this.#allowance.ensure()
  }

  /** Leases a connection that was idle for long, if it is alive: a firewall may have dropped it silently. */
  async #grantLongIdle(connection: ServerConnection, request: ConnectionRequest): Promise<void> {
    if (await isUsable(connection)) return this.#grantUnlessClosed(connection, request)
    this.#line.count(request.target, -1)
    await this.#discard(connection)
    this.#next(request)
  }

  /** Leases a connection unless the budget was closed during the wait. */
  async #grantUnlessClosed(connection: ServerConnection, request: ConnectionRequest): Promise<void> {
    if (!this.#closed) return this.#grant(connection, request)
    this.#line.count(request.target, -1)
    await this.#discard(connection)
    request.refuse(closedError())
  }

  /** Leases a connection, which is busy from now on. One that has ended by now is noticed on release. */
  #grant(connection: ServerConnection, request: ConnectionRequest): void {
    this.#busy.set(connection, { connection, request, since: performance.now() })
    request.grant(connection)
  }

  #mayOpen(): boolean {
    if (this.#isOpeningEnough()) return false
    return !this.#isFull() || (this.#kept === this.#capacity && this.#idle.count > 0)
  }

  /**
   * True if a request may evict another tenant's connection, if it needs to. Requests of tenants that have a connection
   * already may do so a few at a time: otherwise a busy tenant would close connections that others return to, and all
   * would keep opening new ones.
   */
  #mayDisplace(target: Target): boolean {
    if (!this.#isFull() || this.#line.shareOf(target) === 0) return true
    return this.#openingMore < Math.max(1, Math.floor(this.#openingLimit.among(this.#capacity) * moreAtOnce))
  }

  #isOpeningEnough(): boolean {
    return this.#opening >= this.#openingLimit.among(this.#capacity)
  }

  /** Opens a connection while there is room, else in place of the least recently used. */
  #openFor(request: ConnectionRequest): void {
    void this.#openCounted(request, this.#isFull() ? this.#idle.takeOldest() : undefined)
  }

  /** Closes first and opens then, so that the server never sees more than the budget. The connection counts already. */
  async #openCounted(request: ConnectionRequest, replaced?: ServerConnection): Promise<void> {
    const { target } = request
    this.#open++
    const endOpening = this.#beginOpening(this.#line.shareOf(target) > 1)
    let connection: ServerConnection | undefined
    try {
      await this.#discard(replaced)
      await this.#allowance.ensure()
      if (this.#kept <= this.#capacity) connection = await this.#openOne(target)
      else this.#uncount()
    } catch (error) {
      this.#line.count(target, -1)
      this.#uncount()
      return request.refuse(error)
    } finally {
      endOpening()
    }
    if (connection !== undefined && this.#allowance.holds()) return this.#grantUnlessClosed(connection, request)
    // The capacity has shrunk since the place was given.
    this.#line.count(target, -1)
    await this.#discard(connection)
    // A request that waits for its tenant's share would have been passed over before the place was given up.
    this.#serveWaiters()
    this.#next(request)
  }

  /** @returns a function that ends it; requests that waited for it are served then */
  #beginOpening(isMore: boolean): () => void {
    this.#opening++
    if (isMore) this.#openingMore++
    let slow: NodeJS.Timeout | undefined
    const end = () => {
      if (slow === undefined) return
      clearTimeout(slow)
      slow = undefined
      this.#opening--
      if (isMore) this.#openingMore--
      this.#serveWaiters()
    }
    slow = setTimeout(end, slowOpeningMs)
    return end
  }

  async #openOne({ database, login }: Target): Promise<ServerConnection> {
    const { server, session } = this.#options
    const options: OpenOptions = { session, login: login(), mark: this.#allowance.mark }
    const since = performance.now()
    const connection = await server.open(database, options)
    this.#openingLimit.learn(performance.now() - since, this.#capacity)
    connection.onEnd(() => this.#forget(connection))
    return connection
  }

  #giveBack(target: Target, connection: ServerConnection, isReusable: boolean): Promise<void> | undefined {
    // A connection that ended meanwhile was counted then.
    if (!this.#takeBack(connection)) return undefined
    const isKept = isReusable && !this.#closed && this.#kept <= this.#capacity
    if (isKept) this.#passOn(target, connection)
    const discarded = isKept ? undefined : this.#discard(connection)
    // A connection that had ended when it was leased frees no place, but its tenant may have another one.
    if (!isKept) this.#serveWaiters()
    this.#notifyDrained()
    return discarded
  }

  #passOn(target: Target, connection: ServerConnection): void {
    const isOpeningEnough = this.#isOpeningEnough()
    const isEligible = (it: Target) => isSame(it, target) || (!isOpeningEnough && this.#mayDisplace(it))
    const waiter = this.#line.next(this.#most(), isEligible)
    if (waiter === undefined) this.#idle.keep(target, connection)
    else if (isSame(waiter.target, target)) this.#grant(connection, waiter)
    else void this.#openCounted(waiter, connection)
  }

  /** Opens connections for waiting requests. Their tenants have no idle connection, or they would have got it. */
  #serveWaiters(): void {
    while (this.#mayOpen()) {
      const waiter = this.#line.next(this.#most(), (it) => this.#mayDisplace(it))
      if (waiter === undefined) return
      this.#openFor(waiter)
    }
  }

  #busyError({ tenant }: Target): TenantryError {
    const scarcity = { capacity: this.#capacity, others: this.#allowance.others, leases: [...this.leases] }
    return busyError(tenant, this.#options, scarcity)
  }

  /** Stops counting a connection that has ended, in any state. */
  #forget(connection: ServerConnection): void {
    this.#takeBack(connection)
    this.#idle.remove(connection)
    this.#closing.delete(connection)
    this.#uncount()
    this.#notifyDrained()
  }

  /** @returns false if it was taken back before */
  #takeBack(connection: ServerConnection): boolean {
    const lease = this.#busy.get(connection)
    if (lease === undefined) return false
    this.#busy.delete(connection)
    this.#line.count(lease.request.target, -1)
    return true
  }

  #uncount(): void {
    this.#open--
    this.#serveWaiters()
    this.#allowance.onClosed()
  }

  async #discard(connection: ServerConnection | undefined): Promise<void> {
    if (connection === undefined) return
    this.#closing.add(connection)
    // A connection that has ended already is not counted any more, and calls back at once.
    connection.onEnd(() => this.#closing.delete(connection))
    await connection.close()
  }

  get #kept(): number {
    return this.#open - this.#closing.size
  }

  #isClean(connection: ServerConnection): boolean {
    return !connection.broken && !connection.inTransaction() && this.#options.resetConnections !== true
  }

  #isFull(): boolean {
    return this.#open >= this.#capacity
  }

  /** Returns the number of connections that one tenant may have. */
  #most(): number {
    return tenantPart(this.#capacity, this.#options.tenantShare ?? 1)
  }

  #drain(deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, deadlineMs)
      this.#drained = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #notifyDrained(): void {
    if (this.#busy.size === 0) this.#drained?.()
  }
}

/** Rolls back an open transaction. @returns true if the connection can be reused */
async function cleaned(connection: ServerConnection, { resetConnections }: BudgetOptions): Promise<boolean> {
  if (connection.broken) return false
  try {
    if (connection.inTransaction()) await connection.rollback()
    if (resetConnections) await connection.reset()
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
