import { inTime } from '../kernel/abort.ts'
import { hasCode } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Server, Session } from '../server/port.ts'
import { closedError } from './closed-error.ts'

/** A listener on the channel. */
export interface ChannelListener {
  /**
   * Receives a message of a process of the installation, including this one; any role that can connect to the catalog
   * can send one.
   */
  readonly onMessage: (message: object) => void
  /** Called when messages may be missed from now on. */
  readonly onLost: () => void
}

/** The session that this process listens on. */
export interface Listening {
  /** A session shared by independent callers: one statement runs after another. */
  readonly session: Pick<Session, 'query'>
  /** The server's process id of the session. */
  readonly processId: number
}

const channel = 'tenantry'

/**
 * The time for which remembered answers may be trusted after the last check of the listening session, in milliseconds.
 */
export const trustMs = 5_000

/**
 * The channel between the processes of an installation. Each listens in the catalog's database, on one session, and
 * shows by a shared advisory lock that it does.
 */
export class ProcessChannel {
  readonly #home: Server
  readonly #catalog: Identifier
  readonly #listeners: ChannelListener[] = []
  #starting: Promise<Standing> | undefined
  #standing: Standing | undefined
  #renewing: Promise<void> | undefined
  /** The time until which the session counts as listening without a check, by the monotonic clock. */
  #trustedUntil = 0
  #closed = false

  constructor(home: Server, catalog: Identifier) {
    this.#home = home
    this.#catalog = catalog
  }

  /** Adds a listener, for good. */
  subscribe(listener: ChannelListener): void {
    this.#listeners.push(listener)
  }

  /**
   * Makes sure that this process listens: rows read from the catalog after that hold until a message. It queries the
   * server if the last check is some seconds old, and otherwise costs nothing.
   */
  async start(): Promise<void> {
    const starting = this.#start()
    const { end } = await starting
    if (this.isStarted()) return
    this.#renewing ??= this.#renew(starting, end).finally(() => {
      this.#renewing = undefined
    })
    await this.#renewing
  }

  /** True if {@link start} has nothing to do: rows read from the catalog hold until a message. */
  isStarted(): boolean {
    return performance.now() < this.#trustedUntil
  }

  /** Returns the session, and opens it if there is none. It may have ended unnoticed. */
  listening(): Promise<Listening> {
    return this.#start()
  }

  /** True if the session is still in use, as far as this process has noticed. */
  isCurrent(listening: Listening): boolean {
    return this.#standing === listening
  }

  /** Sends a message to all processes of the installation. */
  async send(message: object): Promise<void> {
    const { session } = await this.#start()
    await session.query('select pg_notify($1, $2)', [channel, JSON.stringify(message)])
  }

  /**
   * Drops the session if this error shows that it is lost.
   *
   * @returns true if it does
   */
  isLostBy(error: unknown, listening: Listening): boolean {
    if (!hasCode(error, 'connection-lost')) return false
    if (this.#standing === listening) this.#lose(this.#starting)
    return true
  }

  /** Returns the server's process ids of all listening sessions. */
  async present(): Promise<readonly number[]> {
    const { session } = await this.#start()
    const { rows } = await session.query<{ pid: number }>(
      `select pid from pg_catalog.pg_locks
       where locktype = 'advisory' and objsubid = 1 and granted and mode = 'ShareLock'
         and database = (select oid from pg_catalog.pg_database where datname = current_database())
         and (classid::bigint << 32 | objid::bigint) = ${presenceKey}`,
    )
    return rows.map(({ pid }) => pid)
  }

  /** Ends the session, and waits for that at most `limitMs` milliseconds. */
  async close(limitMs: number): Promise<void> {
    this.#closed = true
    this.#trustedUntil = 0
    await inTime(this.#end(), limitMs)
  }

  async #end(): Promise<void> {
    const standing = await this.#starting?.catch(() => undefined)
    await standing?.end()
  }

  #start(): Promise<Standing> {
    if (this.#closed) return Promise.reject(closedError())
    if (this.#starting !== undefined) return this.#starting
    const starting = this.#listen(() => this.#lose(starting))
    this.#starting = starting
    void this.#await(starting)
    return starting
  }

  async #await(starting: Promise<Standing>): Promise<void> {
    try {
      const standing = await starting
      if (this.#starting === starting) this.#standing = standing
    } catch {
      this.#lose(starting)
    }
  }

  /** Checks that the session is alive; one that does not answer in time counts as lost. */
  async #renew(starting: Promise<Standing>, end: () => Promise<void>): Promise<void> {
    const checkedAt = performance.now()
    const timer = setTimeout(() => void end(), trustMs)
    try {
      const { session } = await starting
      await session.query('select 1')
      if (this.#starting === starting) this.#trustedUntil = checkedAt + trustMs
    } catch {
      this.#lose(starting)
      await this.#start()
    } finally {
      clearTimeout(timer)
    }
  }

  async #listen(onEnd: () => void): Promise<Standing> {
    const checkedAt = performance.now()
    const onMessage = (payload: string) => this.#receive(payload)
    const session = await this.#home.listen(this.#catalog, channel, { onMessage, onEnd })
    try {
      const { rows } = await session.query<{ pid: number }>(
        `select pg_backend_pid() as pid, pg_advisory_lock_shared(${presenceKey})`,
      )
      this.#trustedUntil = checkedAt + trustMs
      return { session: inTurn(session), processId: rows[0]?.pid ?? 0, end: () => session.close() }
    } catch (error) {
      await session.close()
      throw error
    }
  }

  #lose(starting: Promise<Standing> | undefined): void {
    // Another session may have replaced it.
    if (this.#closed || starting === undefined || this.#starting !== starting) return
    this.#starting = undefined
    this.#standing = undefined
    this.#trustedUntil = 0
    for (const { onLost } of this.#listeners) onLost()
  }

  #receive(payload: string): void {
    const message = parseMessage(payload)
    if (typeof message !== 'object' || message === null) return
    for (const { onMessage } of this.#listeners) onMessage(message)
  }
}

interface Standing extends Listening {
  readonly end: () => Promise<void>
}

function parseMessage(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The key of the lock that every listening session shares. */
const presenceKey = `hashtextextended('tenantry:presence', 0)`

function inTurn(session: Session): Pick<Session, 'query'> {
  let last: Promise<unknown> = Promise.resolve()
  return {
    query: (sql, params) => {
      const next = last.then(() => session.query<never>(sql, params))
      last = next.catch(() => undefined)
      return next
    },
  }
}
