import { equal, ok } from 'node:assert/strict'
import { tenantPart } from '../../dist/routing/division.js'
import { OpeningLimit } from '../../dist/routing/opening-limit.js'
import { Scheduler } from '../../dist/routing/scheduler.js'

/** An event, and a number that picks what it happens to. */
export interface Event {
  readonly kind:
    | 'request'
    | 'release'
    | 'destroy'
    | 'starts'
    | 'opened'
    | 'lost'
    | 'openFailed'
    | 'closed'
    | 'ended'
    | 'checked'
    | 'slow'
    | 'capacity'
    | 'pass'
    | 'leave'
  readonly pick: number
}

/** Requests of one key are served in the order in which they began to wait. */
interface Request {
  readonly id: number
  readonly row: { readonly rowId: string; readonly database: string }
  readonly wantedAt: number
  end?: 'granted' | 'refused' | 'failed'
}

interface Connection {
  readonly request: Request
  state: 'idle' | 'leased' | 'checked' | 'closing' | 'replaced' | 'ended'
  holder?: Request | undefined
  idleSince: number
}

interface Opening {
  readonly request: Request
  readonly replaced: Connection | undefined
  readonly isMore: boolean
  startedAt?: number
  isSlow?: boolean
}

export const waitMs = 10_000
const keptMs = 30_000
const checkedAfterMs = 5_000
/** The first two have had the same database, one after the other. */
const rows = ['a', 'b', 'c', 'd', 'e', 'f'].map((rowId) => ({ rowId, database: rowId === 'b' ? 'a' : rowId }))

/**
 * The rules of the scheduler, written down a second time: it keeps books of all that happened, and checks every decision
 * against them.
 */
export class SchedulerModel {
  readonly #scheduler: Scheduler<Connection, Request>
  readonly #share: number
  readonly #requests: Request[] = []
  readonly #line: Request[] = []
  readonly #connections: Connection[] = []
  readonly #openings: Opening[] = []
  readonly #limit = new OpeningLimit()
  #capacity = 0
  #now = 0
  #wakesAt = Infinity
  #isClosed = false
  /** True until a released connection has been passed on or kept. */
  #isReleased = false

  constructor(capacity: number, share: number) {
    this.#share = share
    this.#scheduler = new Scheduler<Connection, Request>(
      { waitMs, tenantShare: share },
      {
        grant: (request, connection) => this.#onGrant(request, connection),
        refuse: (request, reason) => this.#onRefuse(request, reason),
        open: (request, replaced) => this.#onOpen(request, replaced),
        check: (request, connection) => this.#onCheck(request, connection),
        close: (connection) => this.#onClose(connection),
        wake: (at) => (this.#wakesAt = at),
      },
    )
    this.#capacity = capacity
    this.#scheduler.setCapacity(capacity, 0)
  }

  get open(): number {
    return this.#scheduler.open
  }

  happen({ kind, pick }: Event): void {
    const { open } = this
    this.#events[kind](pick)
    this.#afterwards()
    // It never grows beyond the capacity; it may be above, after the capacity has shrunk.
    ok(this.open <= Math.max(this.#capacity, open), 'more connections than there may be')
  }

  close(): void {
    this.#isClosed = true
    this.#scheduler.close()
    this.#afterwards()
  }

  /** Ends everything under way: then every request has ended. */
  finish(): void {
    this.happen({ kind: 'capacity', pick: 4 })
    const kinds = ['closed', 'checked', 'starts', 'opened', 'release'] as const
    for (let round = 0; round < 4 * this.#requests.length; round++)
      for (const kind of kinds) this.happen({ kind, pick: 0 })
    ok(
      this.#requests.every(({ end }) => end !== undefined),
      'a request is forgotten',
    )
    equal(this.#openings.length, 0)
    equal([...this.#scheduler.leases()].length, 0)
  }

  readonly #events: Readonly<Record<Event['kind'], (pick: number) => void>> = {
    request: (pick) => {
      // Some come again, with the time of their first attempt.
      const wantedAt = pick % 5 === 0 ? Math.max(0, this.#now - (pick % 7) * 1_000) : this.#now
      const request: Request = { id: this.#requests.length, row: pickOf(rows, pick) as Request['row'], wantedAt }
      this.#requests.push(request)
      this.#scheduler.request(request, this.#now)
    },
    release: (pick) => this.#release(pick, true),
    destroy: (pick) => this.#release(pick, false),
    starts: (pick) => {
      const opening = pickOf(
        this.#openings.filter(({ startedAt, replaced }) => startedAt === undefined && replaced?.state !== 'replaced'),
        pick,
      )
      if (opening === undefined) return
      const mayStart = this.#kept <= this.#capacity && !this.#isClosed
      if (!mayStart) this.#remove(opening)
      equal(this.#scheduler.starts(opening.request, this.#now), mayStart)
      if (mayStart) opening.startedAt = this.#now
    },
    opened: (pick) => this.#opened(pick, true),
    lost: (pick) => this.#opened(pick, false),
    openFailed: (pick) => {
      const opening = pickOf(this.#openings, pick)
      if (opening === undefined) return
      this.#remove(opening)
      opening.request.end = 'failed'
      this.#scheduler.openFailed(opening.request, this.#now)
    },
    closed: (pick) => this.#end(this.#in('closing', 'replaced'), pick),
    ended: (pick) => this.#end(this.#in('idle', 'leased', 'checked'), pick),
    checked: (pick) => {
      const connection = pickOf(this.#in('checked'), pick)
      if (connection !== undefined) this.#scheduler.checked(connection, pick % 3 > 0, this.#now)
    },
    slow: (pick) => {
      const opening = pickOf(this.#openings, pick)
      if (opening === undefined) return
      opening.isSlow = true
      this.#scheduler.slow(opening.request, this.#now)
    },
    capacity: (pick) => {
      this.#capacity = pick % 13
      this.#scheduler.setCapacity(this.#capacity, this.#now)
    },
    pass: (pick) => this.#pass((pick % 10) * 1_000),
    leave: (pick) => {
      const { database } = pickOf(rows, pick) as Request['row']
      this.#scheduler.leave(database)
      ok(!this.#in('idle').some(({ request }) => request.row.database === database))
    },
  }

  #release(pick: number, isReusable: boolean): void {
    const connection = pickOf(this.#in('leased'), pick)
    if (connection === undefined) return
    const isKept = isReusable && this.#kept <= this.#capacity && !this.#isClosed
    connection.holder = undefined
    connection.idleSince = this.#now
    // One that is not kept is closed by the next decision.
    if (isKept) connection.state = 'idle'
    this.#moveLast(connection)
    this.#isReleased = isKept
    this.#scheduler.released(connection, isReusable, this.#now)
    this.#isReleased = false
    ok(connection.state !== (isKept ? 'closing' : 'leased'))
  }

  #opened(pick: number, isAllowed: boolean): void {
    const started = this.#openings.filter(({ startedAt }) => startedAt !== undefined)
    const opening = pickOf(started, pick)
    if (opening === undefined) return
    const { request, startedAt = 0 } = opening
    this.#limit.learn(this.#now - startedAt, this.#capacity)
    const connection: Connection = { request, state: 'leased', idleSince: this.#now }
    this.#remove(opening)
    this.#connections.push(connection)
    if (isAllowed && !this.#isClosed) connection.holder = request
    this.#scheduler.opened(request, connection, isAllowed, this.#now)
    if (!isAllowed || this.#isClosed) equal(connection.state, 'closing')
    else equal(request.end, 'granted')
  }

  #end(connections: readonly Connection[], pick: number): void {
    const connection = pickOf(connections, pick)
    if (connection === undefined) return
    connection.state = 'ended'
    connection.holder = undefined
    this.#scheduler.ended(connection, this.#now)
  }

  #pass(ms: number): void {
    const until = this.#now + ms
    while (this.#wakesAt <= until) {
      this.#now = Math.max(this.#now, this.#wakesAt)
      this.#wakesAt = Infinity
      this.#scheduler.expire(this.#now)
    }
    this.#now = until
  }

  #onGrant(request: Request, connection: Connection): void {
    const isNew = connection.state === 'leased' && connection.request === request
    if (connection.state === 'idle') {
      ok(this.#now - connection.idleSince < checkedAfterMs, 'not checked')
      this.#expectTurn(request, 'own')
    } else if (!isNew) {
      equal(connection.state, 'checked')
      equal(connection.holder, request)
    }
    equal(key(connection.request), key(request))
    this.#endOf(request, 'granted')
    connection.state = 'leased'
    connection.holder = request
  }

  #onRefuse(request: Request, reason: 'late' | 'closed'): void {
    if (reason === 'late') ok(this.#now - request.wantedAt >= waitMs, 'refused early')
    else ok(this.#isClosed)
    this.#endOf(request, 'refused')
  }

  #onOpen(request: Request, replaced: Connection | undefined): void {
    this.#expectTurn(request, 'new')
    const share = this.#shareOf(request)
    ok(this.#mayOpen(share), 'opened too many')
    // An idle one is closed only if there is no room, and then the least recently used.
    equal(replaced, this.#open < this.#capacity ? undefined : this.#in('idle')[0])
    if (replaced !== undefined) replaced.state = 'replaced'
    this.#openings.push({ request, replaced, isMore: share > 0 })
    this.#leaveLine(request)
    this.#isReleased = false
  }

  #onCheck(request: Request, connection: Connection): void {
    equal(connection.state, 'idle')
    ok(this.#now - connection.idleSince >= checkedAfterMs, 'checked early')
    equal(key(connection.request), key(request))
    this.#expectTurn(request, 'own')
    connection.state = 'checked'
    connection.holder = request
    this.#leaveLine(request)
    this.#isReleased = false
  }

  #onClose(connection: Connection): void {
    ok(['idle', 'leased', 'checked'].includes(connection.state))
    // A leased one is never closed, but after its release.
    if (connection.state === 'leased') equal(connection.holder, undefined)
    connection.state = 'closing'
    connection.holder = undefined
  }

  /** Checks that no other request should have been served before this one. */
  #expectTurn(request: Request, how: 'own' | 'new'): void {
    const share = this.#shareOf(request)
    ok(share < this.#most, 'more than the share')
    if (how === 'new') ok(!this.#hasIdle(request), 'opened beside an idle one')
    const place = this.#line.indexOf(request)
    for (const [index, other] of this.#line.entries()) {
      // A request that does not wait comes now, or is scheduled again: then it is older than those that wait.
      const isEarlier = place < 0 ? other.id < request.id : index < place
      ok(!isEarlier || key(other) !== key(request), 'not in turn')
      const theirs = this.#shareOf(other)
      const isBefore = theirs < share || (theirs === share && isEarlier)
      if (isBefore && theirs < this.#most) ok(!this.#mayOpen(theirs), 'unfair')
    }
  }

  /** After an event: nothing that could be done is left undone. */
  #afterwards(): void {
    for (const request of this.#requests) {
      if (this.#isUndecided(request) && !this.#line.includes(request)) this.#line.push(request)
    }
    equal(this.open, this.#open)
    const leases = [...this.#scheduler.leases()]
    equal(leases.length, this.#in('leased').length)
    for (const { holder } of this.#in('leased')) ok(holder !== undefined && leases.includes(holder))
    if (this.#isClosed) equal(this.#line.length + this.#in('idle').length, 0)
    for (const waiter of this.#line) {
      ok(this.#wakesAt <= waiter.wantedAt + waitMs, 'does not wake')
      const share = this.#shareOf(waiter)
      if (share >= this.#most) continue
      ok(!this.#hasIdle(waiter), 'waits beside an idle one')
      ok(!this.#mayOpen(share), 'waits although one may be opened')
    }
    for (const { idleSince } of this.#in('idle')) ok(this.#wakesAt <= idleSince + keptMs, 'does not wake')
  }

  #mayOpen(share: number): boolean {
    const atOnce = this.#limit.among(this.#capacity)
    const underWay = this.#openings.filter(({ isSlow }) => !isSlow)
    if (underWay.length >= atOnce) return false
    if (this.#open < this.#capacity) return true
    const isClosing = this.#in('closing').length > 0
    if (this.#in('idle').length === 0 || (isClosing && !this.#isReleased)) return false
    return share === 0 || underWay.filter(({ isMore }) => isMore).length < Math.max(1, Math.floor(atOnce / 4))
  }

  #hasIdle(request: Request): boolean {
    return this.#in('idle').some((it) => key(it.request) === key(request))
  }

  #shareOf({ row: { rowId } }: Request): number {
    const held = this.#connections.filter(({ holder }) => holder?.row.rowId === rowId)
    return held.length + this.#openings.filter(({ request }) => request.row.rowId === rowId).length
  }

  #endOf(request: Request, end: 'granted' | 'refused'): void {
    equal(request.end, undefined)
    request.end = end
    this.#leaveLine(request)
    this.#isReleased = false
  }

  #leaveLine(request: Request): void {
    const place = this.#line.indexOf(request)
    if (place >= 0) this.#line.splice(place, 1)
  }

  /** True if nothing has been decided for a request. */
  #isUndecided(request: Request): boolean {
    const isOpening = this.#openings.some((opening) => opening.request === request)
    return request.end === undefined && !isOpening && !this.#connections.some(({ holder }) => holder === request)
  }

  #remove(opening: Opening): void {
    this.#openings.splice(this.#openings.indexOf(opening), 1)
  }

  #moveLast(connection: Connection): void {
    this.#connections.splice(this.#connections.indexOf(connection), 1)
    this.#connections.push(connection)
  }

  #in(...states: Connection['state'][]): Connection[] {
    return this.#connections.filter(({ state }) => states.includes(state))
  }

  get #kept(): number {
    return this.#in('idle', 'leased', 'checked').length + this.#openings.length
  }

  get #open(): number {
    return this.#kept + this.#in('closing').length
  }

  get #most(): number {
    return tenantPart(this.#capacity, this.#share)
  }
}

function key({ row }: Request): string {
  return `${row.rowId}/${row.database}`
}

function pickOf<T>(all: readonly T[], pick: number): T | undefined {
  return all[pick % all.length]
}
