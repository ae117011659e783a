import { tenantPart } from './division.ts'
import { OpeningLimit } from './opening-limit.ts'
import { type ConnectionRequest, isSame, type TenantDatabase, WaitingLine } from './waiting-line.ts'

/** Options of a scheduler. */
export interface SchedulerOptions {
  /** The longest wait for a connection while all are busy, in milliseconds. */
  readonly waitMs: number
  /** The part of the connections that one tenant may have, above 0, at most 1 (default); see {@link tenantPart}. */
  readonly tenantShare?: number
}

/** Carries the decisions of a scheduler out. Each may report the next event before it returns. */
export interface Decisions<C, R> {
  /** Leases a connection. The lease ends with {@link Scheduler.released} or {@link Scheduler.ended}. */
  grant(request: R, connection: C, now: number): void
  /** Refuses a request, which has waited for too long, or came after {@link Scheduler.close}. */
  refuse(request: R, reason: 'late' | 'closed'): void
  /**
   * Closes `replaced`, and then opens a connection for a request. Reports {@link Scheduler.starts} in between, and
   * {@link Scheduler.opened} or {@link Scheduler.openFailed} at the end.
   */
  open(request: R, replaced: C | undefined): void
  /** Checks that a connection for a request still answers, and reports {@link Scheduler.checked}. */
  check(request: R, connection: C): void
  close(connection: C): void
  /** Calls {@link Scheduler.expire} at this time, and no longer at the time of the last call. */
  wake(at: number): void
}

/** A connection that is idle, or has a request. It stays the same object, so that a lease makes none. */
interface Place<C, R> {
  readonly connection: C
  readonly row: TenantDatabase
  request: R | undefined
  /** True while it is checked before it is granted. */
  isChecked: boolean
  idleSince: number
}

/** A connection that is being opened. */
interface Opening {
  /** True if its tenant had a connection already. */
  readonly isMore: boolean
  startedAt: number
  isSlow: boolean
}

/** The time for which an idle connection is kept, in milliseconds. */
const keptMs = 30_000
/** The idle time after which a connection is checked before it is leased: a firewall may have dropped it silently. */
const checkedAfterMs = 5_000
/** The part of the openings at once that may evict other tenants' connections for a tenant that has one already. */
const moreAtOnce = 1 / 4

/**
 * Decides which request gets a connection, and which connections are opened and closed. It does nothing itself: events
 * come in with their time, on any clock that never goes back, and decisions go out.
 *
 * - Idle connections are kept for their tenants; the least recently used is evicted first.
 * - If none can be evicted, requests wait in a {@link WaitingLine}. A tenant may have all connections while no other
 *   waits, or its configured share.
 * - Only some connections are opened at once, see {@link OpeningLimit}: a place in which a connection is being opened
 *   keeps no idle one. A request that waits for that gets a connection of its own tenant if one is released before.
 */
export class Scheduler<C, R extends ConnectionRequest> {
  readonly #options: SchedulerOptions
  readonly #decisions: Decisions<C, R>
  #capacity = 0
  /** The number of connections that one tenant may have. */
  #most = 0
  #isClosed = false
  /** All connections but those that are opening or closing. */
  readonly #places = new Map<C, Place<C, R>>()
  /** The idle ones among them, the least recently used first. */
  readonly #idle: Place<C, R>[] = []
  readonly #openings = new Map<R, Opening>()
  /** The connections that are closing. The place of a replaced one belongs to the one that is opened. */
  readonly #closing = new Set<C>()
  readonly #line = new WaitingLine<R>()
  readonly #openingLimit = new OpeningLimit()
  #wakesAt = Infinity

  constructor(options: SchedulerOptions, decisions: Decisions<C, R>) {
    this.#options = options
    this.#decisions = decisions
  }

  /** The number of connections that may be open; 0 until it is known. */
  get capacity(): number {
    return this.#capacity
  }

  /** The number of connections, including opening and closing ones. */
  get open(): number {
    return this.#kept + this.#closing.size
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The requests that have a connection. */
  *leases(): Generator<R, void> {
    for (const { request, isChecked } of this.#places.values()) if (request !== undefined && !isChecked) yield request
  }

  /** Sets the number of connections that may be open. Surplus idle ones are closed now, leased ones on release. */
  setCapacity(capacity: number, now: number): void {
    this.#capacity = capacity
    this.#most = tenantPart(capacity, this.#options.tenantShare ?? 1)
    while (this.#kept > capacity && this.#idle[0] !== undefined) this.#close(this.#evict(this.#idle[0]))
    // Requests that waited for their tenant's share may have an idle connection.
    for (const { row } of this.#idle.slice()) this.#serve(now, row)
    this.#serve(now)
  }

  /** Grants the tenant's last used idle connection, opens one, or queues the request. */
  request(request: R, now: number): void {
    if (this.#isClosed) return this.#decisions.refuse(request, 'closed')
    const { row } = request
    const share = this.#line.shareOf(row)
    if (share < this.#most) {
      const own = this.#lastUsed(row)
      if (own !== undefined) return this.#use(own, request, now)
      if (this.#mayOpen(share, false)) return this.#open(request)
    }
    this.#line.join(request)
    this.#wakeBy(request.wantedAt + this.#options.waitMs)
  }

  /**
   * Before a connection is opened: the capacity may have shrunk since that was decided.
   *
   * @returns false if the place is lost; the request is scheduled again
   */
  starts(request: R, now: number): boolean {
    const opening = this.#openings.get(request)
    if (opening !== undefined && this.#kept <= this.#capacity && !this.#isClosed) {
      opening.startedAt = now
      return true
    }
    this.openFailed(request, now)
    this.request(request, now)
    return false
  }

  /** An opening takes long (a lock, a lost packet). It does not delay others any more. */
  slow(request: R, now: number): void {
    const opening = this.#openings.get(request)
    if (opening !== undefined) opening.isSlow = true
    this.#serve(now)
  }

  /** Grants a new connection. @param isAllowed false if the capacity did not hold meanwhile: then it is closed */
  opened(request: R, connection: C, isAllowed: boolean, now: number): void {
    const opening = this.#openings.get(request)
    if (opening !== undefined) this.#openingLimit.learn(now - opening.startedAt, this.#capacity)
    if (!isAllowed || this.#isClosed) {
      this.#close(connection)
      this.openFailed(request, now)
      return this.request(request, now)
    }
    this.#openings.delete(request)
    this.#places.set(connection, { connection, row: request.row, request, isChecked: false, idleSince: now })
    this.#serve(now)
    this.#decisions.grant(request, connection, now)
  }

  /** Gives the place of an opening up. Its request is over. */
  openFailed(request: R, now: number): void {
    this.#openings.delete(request)
    this.#line.count(request.row, -1)
    this.#serve(now, request.row)
  }

  /** Grants a connection that was checked. If it does not answer, it is closed, and the request is scheduled again. */
  checked(connection: C, isAlive: boolean, now: number): void {
    const place = this.#places.get(connection)
    // It may have ended by then.
    if (place?.request === undefined || !place.isChecked) return
    const { request } = place
    place.isChecked = false
    if (isAlive && !this.#isClosed) return this.#decisions.grant(request, connection, now)
    this.#places.delete(connection)
    this.#line.count(place.row, -1)
    this.#close(connection)
    this.request(request, now)
  }

  /** Keeps a connection after its lease, or passes it on; closes it if it is not reusable. */
  released(connection: C, isReusable: boolean, now: number): void {
    const place = this.#places.get(connection)
    // One that has ended meanwhile was counted then.
    if (place?.request === undefined) return
    place.request = undefined
    this.#line.count(place.row, -1)
    if (isReusable && this.#kept <= this.#capacity && !this.#isClosed) {
      place.idleSince = now
      this.#idle.push(place)
      this.#serve(now, place.row, true)
      this.#wakeBy(now + keptMs)
    } else {
      this.#places.delete(connection)
      this.#close(connection)
      this.#serve(now, place.row)
    }
  }

  /** A connection has ended, in any state. */
  ended(connection: C, now: number): void {
    if (this.#closing.delete(connection)) return this.#serve(now)
    const place = this.#places.get(connection)
    if (place === undefined) return
    this.#places.delete(connection)
    if (place.request === undefined) this.#takeIdle(place)
    else this.#line.count(place.row, -1)
    this.#serve(now, place.row)
    if (place.request !== undefined && place.isChecked) this.request(place.request, now)
  }

  /** Closes the idle connections to a database. */
  leave(database: string): void {
    this.#closeIdle(({ row }) => row.database === database)
  }

  /** Closes connections that were idle for too long, and refuses requests that have waited for too long. */
  expire(now: number): void {
    this.#wakesAt = Infinity
    this.#closeIdle(({ idleSince }) => now - idleSince >= keptMs)
    const { waitMs } = this.#options
    for (const waiter of this.#line.takeSince(now - waitMs)) this.#decisions.refuse(waiter, 'late')
    this.#wakeBy(Math.min(this.#line.earliest + waitMs, (this.#idle[0]?.idleSince ?? Infinity) + keptMs))
  }

  /** Refuses all requests from now on, and closes idle connections; others when they are released or opened. */
  close(): void {
    this.#isClosed = true
    for (const waiter of this.#line.takeSince(Infinity)) this.#decisions.refuse(waiter, 'closed')
    this.#closeIdle(() => true)
  }

  /**
   * Serves waiting requests for as long as one can be.
   *
   * @param freed the tenant that has got an idle connection or a smaller share; other waiting tenants have no idle
   *   connection that they may use
   * @param isReleased true if a connection was released just now
   */
  #serve(now: number, freed?: TenantDatabase, isReleased = false): void {
    for (let mayPass = isReleased; !this.#line.isEmpty; mayPass = false) {
      const idle = freed && this.#lastUsed(freed)
      const mayOpenFirst = this.#mayOpen(0, mayPass)
      if (idle === undefined && !mayOpenFirst) return
      const mayOpenMore = this.#mayOpen(1, mayPass)
      const isEligible = (row: TenantDatabase, share: number) =>
        (share === 0 ? mayOpenFirst : mayOpenMore) || (idle !== undefined && isSame(idle.row, row))
      const waiter = this.#line.next(this.#most, isEligible)
      if (waiter === undefined) return
      const own = this.#lastUsed(waiter.row)
      if (own !== undefined) this.#use(own, waiter, now)
      else this.#open(waiter)
    }
  }

  /**
   * True if a connection may be opened for a tenant: in a free place, or in place of an idle connection. A place that a
   * closing connection leaves is waited for, unless a connection was released just now. Tenants that have a connection
   * already may evict a few at a time: otherwise a busy tenant would close connections that others return to, and all
   * would keep opening new ones.
   *
   * @param share the number of connections that the tenant has
   */
  #mayOpen(share: number, mayPass: boolean): boolean {
    const atOnce = this.#openingLimit.among(this.#capacity)
    if (this.#openingsAtOnce(false) >= atOnce) return false
    if (this.open < this.#capacity) return true
    if (this.#idle.length === 0 || (this.#closing.size > 0 && !mayPass)) return false
    return share === 0 || this.#openingsAtOnce(true) < Math.max(1, Math.floor(atOnce * moreAtOnce))
  }

  /** Counts the openings that are not slow: all, or those for tenants that had a connection already. */
  #openingsAtOnce(isMore: boolean): number {
    let count = 0
    for (const opening of this.#openings.values()) if (!opening.isSlow && (opening.isMore || !isMore)) count++
    return count
  }

  /** Opens a connection while there is room, else in place of the least recently used. */
  #open(request: R): void {
    const replaced = this.open >= this.#capacity ? this.#idle[0] : undefined
    this.#openings.set(request, { isMore: this.#line.shareOf(request.row) > 0, startedAt: 0, isSlow: false })
    this.#line.count(request.row, 1)
    this.#decisions.open(request, replaced && this.#evict(replaced))
  }

  /** Grants an idle connection, after a check if it was idle for long. One that has ended is noticed on release. */
  #use(place: Place<C, R>, request: R, now: number): void {
    this.#takeIdle(place)
    this.#line.count(place.row, 1)
    place.request = request
    place.isChecked = now - place.idleSince >= checkedAfterMs
    if (place.isChecked) this.#decisions.check(request, place.connection)
    else this.#decisions.grant(request, place.connection, now)
  }

  #close(connection: C): void {
    this.#closing.add(connection)
    this.#decisions.close(connection)
  }

  #closeIdle(isMeant: (place: Place<C, R>) => boolean): void {
    const evicted = this.#idle.filter(isMeant).map((place) => this.#evict(place))
    // All count as closing before the end of the first may be reported.
    for (const connection of evicted) this.#closing.add(connection)
    for (const connection of evicted) this.#decisions.close(connection)
  }

  /** Gives the place of an idle connection up. */
  #evict(place: Place<C, R>): C {
    this.#takeIdle(place)
    this.#places.delete(place.connection)
    return place.connection
  }

  #lastUsed(row: TenantDatabase): Place<C, R> | undefined {
    for (let index = this.#idle.length - 1; index >= 0; index--) {
      const place = this.#idle[index]
      if (place !== undefined && isSame(place.row, row)) return place
    }
    return undefined
  }

  #takeIdle(place: Place<C, R>): void {
    if (this.#idle.at(-1) === place) this.#idle.pop()
    else this.#idle.splice(this.#idle.indexOf(place), 1)
  }

  #wakeBy(time: number): void {
    if (time >= this.#wakesAt) return
    this.#wakesAt = time
    this.#decisions.wake(time)
  }

  /** The number of connections that are not closing. */
  get #kept(): number {
    return this.#places.size + this.#openings.size
  }
}
