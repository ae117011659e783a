import { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Login, Server, ServerConnection, SessionDefaults } from '../server/port.ts'

interface Idle {
  readonly target: Target
  readonly connection: ServerConnection
  readonly expiry: NodeJS.Timeout
}

/** Whose connection is wanted. */
export interface Target {
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

const idleMs = 30_000

/**
 * The connections that this process may hold on one server, shared by all tenants there. Idle ones are kept, the one
 * longest unused goes first; where all are busy, callers wait in turn.
 */
export class ServerBudget {
  readonly #server: Server
  readonly #waitMs: number
  readonly #defaults: SessionDefaults
  /** Least recently used first. */
  readonly #idle: Idle[] = []
  readonly #busy = new Set<ServerConnection>()
  readonly #waiters: Waiter[] = []
  /** Connections that count: idle, busy, being opened and being closed. */
  #open = 0
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
      await connection.close()
      throw closedError()
    }
    this.#busy.add(connection)
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
    if (!this.#busy.delete(connection)) return
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
    await Promise.all([...closing, ...[...this.#busy].map((connection) => connection.close())])
  }

  #next(target: Target): Promise<ServerConnection> {
    const index = this.#idle.findLastIndex((idle) => isSame(idle.target, target))
    if (index >= 0) return Promise.resolve(this.#takeIdle(index))
    if (this.#open < this.#server.maxConnections) return this.#connect(target)
    if (this.#idle.length > 0) return this.#replace(this.#takeIdle(0), target)
    return this.#wait(target)
  }

  #connect(target: Target): Promise<ServerConnection> {
    this.#open++
    return this.#openCounted(target)
  }

  /** Closes first and opens then, so that the server never sees more than the budget; the place is kept meanwhile. */
  async #replace(connection: ServerConnection, target: Target): Promise<ServerConnection> {
    this.#open++
    await connection.close()
    return this.#openCounted(target)
  }

  async #openCounted({ database, login }: Target): Promise<ServerConnection> {
    try {
      const connection = await this.#server.open(database, this.#defaults, login())
      connection.onEnd(() => this.#forget(connection))
      return connection
    } catch (error) {
      this.#uncount()
      throw error
    }
  }

  #passOn(target: Target, connection: ServerConnection): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#keep(target, connection)
    else if (isSame(waiter.target, target)) waiter.grant(Promise.resolve(connection))
    else waiter.grant(this.#replace(connection, waiter.target))
  }

  #wait(target: Target): Promise<ServerConnection> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(busyError(this.#server, this.#waitMs))
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
    this.#busy.delete(connection)
    const index = this.#idle.findIndex((idle) => idle.connection === connection)
    if (index >= 0) this.#takeIdle(index)
    this.#uncount()
    this.#announceDrained()
  }

  #uncount(): void {
    this.#open--
    const waiter = this.#open < this.#server.maxConnections ? this.#waiters.shift() : undefined
    waiter?.grant(this.#connect(waiter.target))
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

function busyError({ name, maxConnections }: Server, waitMs: number): TenantryError {
  const message = `All ${maxConnections} connections to the server ${name} were busy for ${waitMs} ms.`
  const hint =
    'Hold connections for less long (a transaction holds one from its begin to its commit), or raise maxConnections.'
  return new TenantryError('pool-timeout', message, { hint })
}
