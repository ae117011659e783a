import type { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { SessionMark } from '../server/occupancy.ts'
import type { OpenOptions, Server, ServerConnection, SessionDefaults } from '../server/port.ts'
import { busyError } from './busy-error.ts'
import { closedError } from './closed-error.ts'
import { tenantPart } from './division.ts'
import { IdleConnections } from './idle-connections.ts'
import { OpeningLimit } from './opening-limit.ts'
import { type Asking, isSame, type Lent, type Target } from './target.ts'
import { WaitingLine } from './waiting-line.ts'

/** How a budget is kept. */
export interface BudgetOptions {
  readonly server: Server
  /** How long to wait for a connection while all are busy, in milliseconds. */
  readonly waitMs: number
  /** What holds in tenants' sessions. */
  readonly session?: SessionDefaults
  /** Which part of the connections one tenant may have at once, above 0 and at most 1, the default; see {@link tenantPart}. */
  readonly tenantShare?: number
  /** Whether a connection is reset in full when it is given back; by default only an open transaction is rolled back. */
  readonly resetConnections?: boolean
}

/** How many connections a budget may have open. */
export interface Allowance {
  /** What the sessions on the server are told from others' by. */
  readonly mark?: SessionMark | undefined
  /** Says from now on, by `setCapacity`, how many the budget may have open; it asks back how many it has. */
  serve(budget: Pick<ServerBudget, 'open' | 'setCapacity'>): void
  /** Makes sure that what was said last holds. Asked before a connection is opened. */
  ensure(): Promise<void>
  /** Whether it still holds, as far as this process has heard. */
  holds(): boolean
  /** A connection of the budget was closed. */
  onClosed(): void
  /** For an error: with how many others the connections are shared. */
  readonly others: number
}

/** After how long an idle connection is asked, before it is lent, whether it still stands, in milliseconds. */
const askedAfterMs = 5_000
/** How long it may take to answer then, in milliseconds. */
const answerMs = 2_000
/** An opening that takes longer waits for something (a lock on the database, a lost packet), and holds nobody else up. */
const slowOpeningMs = 250
/** Which part of the openings at once may be for tenants that have a connection already, where others lose theirs for it. */
const moreAtOnce = 1 / 4

/**
 * The connections that this process may hold on one server, shared by all tenants there. Idle ones are kept, the one
 * longest unused goes first. Where all are busy, callers wait in a {@link WaitingLine}. A tenant that nobody waits beside
 * may have all of them, or its configured share.
 *
 * Only some are opened at once, see {@link OpeningLimit}: a place in which a connection is being opened keeps none. Who
 * waits for that takes a connection of its own tenant if one comes back before.
 */
export class ServerBudget {
  readonly #options: BudgetOptions
  readonly #allowance: Allowance
  readonly #idle = new IdleConnections((connection) => void this.#discard(connection))
  readonly #busy = new Map<ServerConnection, Lent>()
  readonly #line: WaitingLine
  #capacity = 0
  /** Connections that the server may see: idle, busy, being opened and being closed. */
  #open = 0
  /** Those of them that are being closed. */
  readonly #closing = new Set<ServerConnection>()
  /** How many are being opened, or closed to be replaced, and not slow. */
  #opening = 0
  /** Those of them that are for tenants which have a connection already. */
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

  /** How many connections there are, those that are being opened and closed among them. */
  get open(): number {
    return this.#open
  }

  /** How many there may be at this moment; as many as are configured until it is known. */
  get capacity(): number {
    return this.#capacity || this.#options.server.maxConnections
  }

  /** What is lent at this moment. */
  get lent(): Iterable<Lent> {
    return this.#busy.values()
  }

  /** From now on so many may be open. Idle ones beyond are closed, busy ones when they are given back. */
  setCapacity(capacity: number): void {
    this.#capacity = capacity
    while (this.#kept > capacity && this.#idle.count > 0) void this.#discard(this.#idle.takeOldest())
    this.#serveWaiters()
  }

  /**
   * Lends a connection to a database, at once or when one is free; give it back with {@link release}. Refuses with
   * `pool-timeout`, `closed`, `credentials-unreadable` and what may be wrong with a connection.
   */
  ask(asking: Asking): void {
    if (this.#capacity > 0) this.#next(asking)
    else
      this.#allowed().then(
        () => this.#next(asking),
        (error: unknown) => asking.refuse(error),
      )
  }

  /** Closes the idle connections to a database. */
  leave(database: Identifier): void {
    for (const connection of this.#idle.takeAll((target) => target.database === database)) {
      void this.#discard(connection)
    }
  }

  /** Runs one statement beside the budget, for a moment: to cancel what runs on one of its connections. */
  control({ database, login }: Target, sql: string): Promise<void> {
    return this.#options.server.control(database, sql, login())
  }

  /** Looks, beside the budget, what the server does for a connection that is lent. */
  async examine({ connection, asking: { target } }: Lent): ReturnType<Server['examine']> {
    return this.#options.server.examine(target.database, connection.processID, target.login())
  }

  /** Takes a connection back: an open transaction is rolled back; a broken connection is forgotten. */
  release(target: Target, connection: ServerConnection, destroy: boolean): Promise<void> | undefined {
    if (destroy || this.#isClean(connection)) return this.#giveBack(target, connection, !destroy)
    return cleaned(connection, this.#options).then((isClean) => this.#giveBack(target, connection, isClean))
  }

  /** Refuses new work and waits for what is under way, at most `deadlineMs` milliseconds; then ends it. */
  async close(deadlineMs: number): Promise<void> {
    this.#closed = true
    this.#line.refuseAll(closedError())
    const closing = this.#idle.takeAll().map((connection) => this.#discard(connection))
    if (this.#busy.size > 0) await this.#drain(deadlineMs)
    await Promise.all([...closing, ...[...this.#busy.keys()].map((connection) => this.#discard(connection))])
  }

  /** One of the tenant's own that is idle, a new one, or the one that it waits for. It is lent as soon as it is there. */
  #next(asking: Asking): void {
    // It may have been closed while something was waited for: nobody would ever serve who waits now.
    if (this.#closed) return asking.refuse(closedError())
    const { target } = asking
    const isWithinShare = this.#line.shareOf(target) < this.#most()
    const own = isWithinShare ? this.#idle.take(target) : undefined
    if (own === undefined && !(isWithinShare && this.#mayOpen() && this.#mayDisplace(target)))
      return this.#line.join(asking)
    this.#line.count(target, 1)
    if (own === undefined) this.#openFor(asking)
    else if (performance.now() - own.since < askedAfterMs) this.#lend(own.connection, asking)
    else void this.#lendLongIdle(own.connection, asking)
  }

  /** Nothing may be open yet, or nobody has asked. */
  async #allowed(): Promise<void> {
    if (!this.#closed) await this.#allowance.ensure()
  }

  /** One that was idle for long may be gone without a word, as where a firewall dropped it. */
  async #lendLongIdle(connection: ServerConnection, asking: Asking): Promise<void> {
    if (await stands(connection)) return this.#lendUnlessClosed(connection, asking)
    this.#line.count(asking.target, -1)
    await this.#discard(connection)
    this.#next(asking)
  }

  /** It may have been closed while the connection was waited for. */
  async #lendUnlessClosed(connection: ServerConnection, asking: Asking): Promise<void> {
    if (!this.#closed) return this.#lend(connection, asking)
    this.#line.count(asking.target, -1)
    await this.#discard(connection)
    asking.refuse(closedError())
  }

  /** From now on it is busy. One that has ended by now is noticed when it is given back. */
  #lend(connection: ServerConnection, asking: Asking): void {
    this.#busy.set(connection, { connection, asking, since: performance.now() })
    asking.grant(connection)
  }

  #mayOpen(): boolean {
    if (this.#isOpeningEnough()) return false
    return !this.#isFull() || (this.#kept === this.#capacity && this.#idle.count > 0)
  }

  /**
   * Whether who asks may have another tenant's connection closed, where that is needed. Those who have one already have
   * it done a few at a time: a tenant that asks for much would close whatever others come back to, and all would open.
   */
  #mayDisplace(target: Target): boolean {
    if (!this.#isFull() || this.#line.shareOf(target) === 0) return true
    return this.#openingMore < Math.max(1, Math.floor(this.#openingLimit.among(this.#capacity) * moreAtOnce))
  }

  #isOpeningEnough(): boolean {
    return this.#opening >= this.#openingLimit.among(this.#capacity)
  }

  /** Opens one while there is room, else in place of the one longest unused. */
  #openFor(asking: Asking): void {
    void this.#openCounted(asking, this.#isFull() ? this.#idle.takeOldest() : undefined)
  }

  /**
   * Closes first and opens then, so that the server never sees more than the budget; the place is kept meanwhile. The
   * connection counts as the tenant's already.
   */
  async #openCounted(asking: Asking, replaced?: ServerConnection): Promise<void> {
    const { target } = asking
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
      return asking.refuse(error)
    } finally {
      endOpening()
    }
    if (connection !== undefined && this.#allowance.holds()) return this.#lendUnlessClosed(connection, asking)
    // There are fewer than there were when the place was given.
    this.#line.count(target, -1)
    await this.#discard(connection)
    // Who waits for its tenant's share was passed over if the place was given up before.
    this.#serveWaiters()
    this.#next(asking)
  }

  /** @returns what ends it; those who waited for it are served then */
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
    // One that ended meanwhile was counted then.
    if (!this.#takeBack(connection)) return undefined
    const isKept = isReusable && !this.#closed && this.#kept <= this.#capacity
    if (isKept) this.#passOn(target, connection)
    const discarded = isKept ? undefined : this.#discard(connection)
    // One that had ended as it was lent gives no place back, but its tenant may have another one.
    if (!isKept) this.#serveWaiters()
    this.#announceDrained()
    return discarded
  }

  #passOn(target: Target, connection: ServerConnection): void {
    const isOpeningEnough = this.#isOpeningEnough()
    const isMeant = (it: Target) => isSame(it, target) || (!isOpeningEnough && this.#mayDisplace(it))
    const waiter = this.#line.next(this.#most(), isMeant)
    if (waiter === undefined) this.#idle.keep(target, connection)
    else if (isSame(waiter.target, target)) this.#lend(connection, waiter)
    else void this.#openCounted(waiter, connection)
  }

  /** None of them that may have one more has an idle connection of its own tenant: it would have got that. */
  #serveWaiters(): void {
    while (this.#mayOpen()) {
      const waiter = this.#line.next(this.#most(), (it) => this.#mayDisplace(it))
      if (waiter === undefined) return
      this.#openFor(waiter)
    }
  }

  #busyError({ tenant }: Target): TenantryError {
    const scarcity = { capacity: this.#capacity, others: this.#allowance.others, lent: [...this.lent] }
    return busyError(tenant, this.#options, scarcity)
  }

  /** A connection ended, whoever ended it; whatever held it, it counts no more. */
  #forget(connection: ServerConnection): void {
    this.#takeBack(connection)
    this.#idle.remove(connection)
    this.#closing.delete(connection)
    this.#uncount()
    this.#announceDrained()
  }

  /** @returns false when it was taken back before */
  #takeBack(connection: ServerConnection): boolean {
    const lent = this.#busy.get(connection)
    if (lent === undefined) return false
    this.#busy.delete(connection)
    this.#line.count(lent.asking.target, -1)
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
    // One that has ended already is not counted any more, and says so at once.
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

  /** How many connections one tenant may have. */
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

  #announceDrained(): void {
    if (this.#busy.size === 0) this.#drained?.()
  }
}

/** Whether a connection may go on to the next caller, after a transaction that is open on it was rolled back. */
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

/** Whether a connection still answers. */
async function stands(connection: ServerConnection): Promise<boolean> {
  // Closing one with a statement under way cuts it off.
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
