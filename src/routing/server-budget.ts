import { TenantryError } from '../kernel/errors.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { Login, Server, ServerConnection, SessionDefaults } from '../server/port.ts'
import { OpeningLimit } from './opening-limit.ts'

interface Idle {
  readonly target: Target
  readonly connection: ServerConnection
  readonly expiry: NodeJS.Timeout
}

/** Whose connection is wanted. */
export interface Target {
  readonly tenant: TenantId
  readonly database: Identifier
  /** The tenant's row: another tenant that has the same database one day has connections of its own. */
  readonly rowId: string
  /** What to log in as, asked when a connection is opened; undefined for the role that administers. */
  readonly login: () => Login | undefined
}

interface Waiter {
  readonly target: Target
  readonly grant: (connection: Promise<ServerConnection>) => void
  readonly refuse: (error: TenantryError) => void
}

/** What a connection is lent for. */
interface Lent {
  readonly target: Target
  /** When it was lent, by the monotonic clock. */
  readonly since: number
}

const idleMs = 30_000

/** An opening that takes longer waits for something (a lock on the database, a lost packet), and holds nobody else up. */
const slowOpeningMs = 250

/**
 * The connections that this process may hold on one server, shared by all tenants there. Idle ones are kept, the one
 * longest unused goes first.
 *
 * Where all are busy, callers wait. The next connection goes to the tenant that has the fewest, of several to the one that
 * waits longest: so however much one tenant asks for, another waits for no more than what is under way. A tenant that
 * nobody waits beside may have all of them.
 *
 * Only some are opened at once, see {@link OpeningLimit}: a place in which a connection is being opened keeps none. Who
 * waits for that takes a connection of its own tenant if one comes back before.
 */
export class ServerBudget {
  readonly #server: Server
  readonly #waitMs: number
  readonly #defaults: SessionDefaults
  /** Least recently used first. */
  readonly #idle: Idle[] = []
  readonly #busy = new Map<ServerConnection, Lent>()
  /** How many connections are lent to, or being opened for, each tenant, by its row. */
  readonly #shares = new Map<string, number>()
  readonly #waiters: Waiter[] = []
  /** Connections that count: idle, busy, being opened and being closed. */
  #open = 0
  /** Of these, how many are being opened, or closed to be replaced, and not slow. */
  #opening = 0
  readonly #openingLimit = new OpeningLimit()
  #closed = false
  #drained: (() => void) | undefined

  /** @param waitMs how long to wait for a connection while all are busy, in milliseconds */
  constructor(server: Server, waitMs: number, defaults: SessionDefaults = {}) {
    this.#server = server
    this.#waitMs = waitMs
    this.#defaults = defaults
  }

  /**
   * A connection to a database; give it back with {@link release}.
   *
   * @throws `pool-timeout`, `closed`, `credentials-unreadable` and what may be wrong with a connection
   */
  async acquire(target: Target): Promise<ServerConnection> {
    if (this.#closed) throw closedError()
    const connection = await this.#next(target)
    if (this.#closed) {
      this.#share(target, -1)
      await connection.close()
      throw closedError()
    }
    // One that has ended by now is noticed when it is given back.
    this.#busy.set(connection, { target, since: performance.now() })
    return connection
  }

  /** Closes the idle connections to a database. */
  leave(database: Identifier): void {
    for (const { connection } of this.#idle.filter(({ target }) => target.database === database)) {
      const index = this.#idle.findIndex((idle) => idle.connection === connection)
      void this.#takeIdle(index).close()
    }
  }

  /** Runs one statement beside the budget, for a moment: to cancel what runs on one of its connections. */
  control({ database, login }: Target, sql: string): Promise<void> {
    return this.#server.control(database, sql, login())
  }

  /** Takes a connection back: an open transaction is rolled back; a broken connection is forgotten. */
  async release(target: Target, connection: ServerConnection, destroy: boolean): Promise<void> {
    const reusable = !destroy && (await isClean(connection))
    // One that ended meanwhile was counted then.
    if (!this.#takeBack(connection)) return
    if (!reusable || this.#closed) await connection.close()
    else this.#passOn(target, connection)
    this.#announceDrained()
  }

  /** Refuses new work and waits for what is under way, at most `deadlineMs` milliseconds; then ends it. */
  async close(deadlineMs: number): Promise<void> {
    this.#closed = true
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(closedError())
    const idle = this.#idle.splice(0)
    for (const { expiry } of idle) clearTimeout(expiry)
    const closing = idle.map(({ connection }) => connection.close())
    if (this.#busy.size > 0) await this.#drain(deadlineMs)
    await Promise.all([...closing, ...[...this.#busy.keys()].map((connection) => connection.close())])
  }

  #next(target: Target): Promise<ServerConnection> {
    const index = this.#idle.findLastIndex((idle) => isSame(idle.target, target))
    if (index < 0 && !this.#mayOpen()) return this.#wait(target)
    this.#share(target, 1)
    return index < 0 ? this.#openFor(target) : Promise.resolve(this.#takeIdle(index))
  }

  #mayOpen(): boolean {
    return !this.#isOpeningEnough() && (!this.#isFull() || this.#idle.length > 0)
  }

  #isOpeningEnough(): boolean {
    return this.#opening >= this.#openingLimit.among(this.#server.maxConnections)
  }

  #isFull(): boolean {
    return this.#open >= this.#server.maxConnections
  }

  /** Opens one while there is room, else in place of the one longest unused. */
  #openFor(target: Target): Promise<ServerConnection> {
    return this.#isFull() ? this.#replace(this.#takeIdle(0), target) : this.#connect(target)
  }

  #connect(target: Target): Promise<ServerConnection> {
    this.#open++
    return this.#openCounted(target)
  }

  /** Closes first and opens then, so that the server never sees more than the budget; the place is kept meanwhile. */
  #replace(connection: ServerConnection, target: Target): Promise<ServerConnection> {
    this.#open++
    return this.#openCounted(target, connection)
  }

  async #openCounted(target: Target, closedFirst?: ServerConnection): Promise<ServerConnection> {
    const endOpening = this.#beginOpening()
    try {
      if (closedFirst !== undefined) await closedFirst.close()
      const since = performance.now()
      const connection = await this.#server.open(target.database, this.#defaults, target.login())
      this.#openingLimit.learn(performance.now() - since, this.#server.maxConnections)
      connection.onEnd(() => this.#forget(connection))
      endOpening()
      return connection
    } catch (error) {
      endOpening()
      this.#share(target, -1)
      this.#uncount()
      throw error
    }
  }

  /** @returns what ends it; those who waited for it are served then */
  #beginOpening(): () => void {
    this.#opening++
    const end = () => {
      if (slow === undefined) return
      clearTimeout(slow)
      slow = undefined
      this.#opening--
      this.#serveWaiters()
    }
    let slow: NodeJS.Timeout | undefined = setTimeout(end, slowOpeningMs)
    return end
  }

  #passOn(target: Target, connection: ServerConnection): void {
    const waiter = this.#isOpeningEnough() ? this.#nextWaiter(target) : this.#nextWaiter()
    if (waiter === undefined) this.#keep(target, connection)
    else if (isSame(waiter.target, target)) waiter.grant(Promise.resolve(connection))
    else waiter.grant(this.#replace(connection, waiter.target))
  }

  /** None of them has an idle connection of its own tenant: it would have got that. */
  #serveWaiters(): void {
    while (this.#waiters.length > 0 && this.#mayOpen()) {
      const waiter = this.#nextWaiter()
      waiter?.grant(this.#openFor(waiter.target))
    }
  }

  #wait(target: Target): Promise<ServerConnection> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(busyError(this.#server, this.#waitMs, target.tenant, [...this.#busy.values()]))
      }, this.#waitMs)
      const settle = <T>(done: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer)
          done(value)
        }
      }
      const waiter: Waiter = { target, grant: settle(resolve), refuse: settle(reject) }
      this.#waiters.push(waiter)
    })
  }

  #keep(target: Target, connection: ServerConnection): void {
    const expiry = setTimeout(() => {
      const index = this.#idle.findIndex((idle) => idle.connection === connection)
      if (index >= 0) void this.#takeIdle(index).close()
    }, idleMs)
    expiry.unref()
    this.#idle.push({ target, connection, expiry })
  }

  #takeIdle(index: number): ServerConnection {
    const { connection, expiry } = this.#idle.splice(index, 1)[0] as Idle
    clearTimeout(expiry)
    return connection
  }

  /** A connection ended, whoever ended it; whatever held it, it counts no more. */
  #forget(connection: ServerConnection): void {
    this.#takeBack(connection)
    const index = this.#idle.findIndex((idle) => idle.connection === connection)
    if (index >= 0) this.#takeIdle(index)
    this.#uncount()
    this.#announceDrained()
  }

  /** @returns false when it was taken back before */
  #takeBack(connection: ServerConnection): boolean {
    const lent = this.#busy.get(connection)
    if (lent === undefined) return false
    this.#busy.delete(connection)
    this.#share(lent.target, -1)
    return true
  }

  #share({ rowId }: Target, change: 1 | -1): void {
    const share = (this.#shares.get(rowId) ?? 0) + change
    if (share === 0) this.#shares.delete(rowId)
    else this.#shares.set(rowId, share)
  }

  /** Whose turn it is, of all or of one tenant; from then on the connection counts as theirs. */
  #nextWaiter(only?: Target): Waiter | undefined {
    const shareOf = ({ target }: Waiter) => this.#shares.get(target.rowId) ?? 0
    let next: Waiter | undefined
    for (const waiter of this.#waiters) {
      if (only !== undefined && !isSame(waiter.target, only)) continue
      if (next === undefined || shareOf(waiter) < shareOf(next)) next = waiter
    }
    if (next === undefined) return undefined
    this.#waiters.splice(this.#waiters.indexOf(next), 1)
    this.#share(next.target, 1)
    return next
  }

  #uncount(): void {
    this.#open--
    this.#serveWaiters()
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

function isSame(one: Target, other: Target): boolean {
  return one.rowId === other.rowId && one.database === other.database
}

/** Whether a connection may go on to the next caller: no transaction is open on it, or it could be rolled back. */
async function isClean(connection: ServerConnection): Promise<boolean> {
  if (connection.broken) return false
  if (!connection.inTransaction()) return true
  try {
    await connection.rollback()
    return true
  } catch {
    return false
  }
}

/** The error of every call that comes after `close`. */
export function closedError(): TenantryError {
  return new TenantryError('closed', 'Tenantry is closed.', { hint: 'Open it again with openTenantry().' })
}

const holdersShown = 3

function busyError({ name, maxConnections }: Server, waitMs: number, tenant: TenantId, lent: readonly Lent[]) {
  const message = `All ${maxConnections} connections to the server ${name} were busy for ${waitMs} ms: ${holders(lent)}.`
  const hint =
    'Hold connections for less long (a transaction holds one from its begin to its commit), or raise maxConnections.'
  return new TenantryError('pool-timeout', message, { tenant, hint })
}

/** Who holds most, and how long already. */
function holders(lent: readonly Lent[]): string {
  const now = performance.now()
  const byTenant = [...Map.groupBy(lent, ({ target }) => target.tenant)].toSorted(
    ([, one], [, other]) => other.length - one.length,
  )
  const shown = byTenant.slice(0, holdersShown).map(([tenant, own]) => {
    const longest = Math.max(...own.map(({ since }) => now - since))
    return `${tenant} has ${own.length}, for up to ${Math.round(longest)} ms`
  })
  const others = byTenant.length - shown.length
  return [...shown, ...(others > 0 ? [`${others} ${others === 1 ? 'other' : 'others'} the rest`] : [])].join('; ')
}
