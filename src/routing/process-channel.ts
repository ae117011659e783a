import { inTime } from '../kernel/abort.ts'
import { hasCode } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Membership, Server } from '../server/port.ts'
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

/**
 * The time for which remembered answers may be trusted after the last check of the listening session, in milliseconds.
 */
export const trustMs = 5_000

/**
 * The channel between the processes of an installation. Each listens in the catalog's database, on one session.
 */
export class ProcessChannel {
  readonly #home: Server
  readonly #catalog: Identifier
  readonly #listeners: ChannelListener[] = []
  #starting: Promise<Membership> | undefined
  #standing: Membership | undefined
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
    const standing = await starting
    if (this.isStarted()) return
    this.#renewing ??= this.#renew(starting, () => standing.end()).finally(() => {
      this.#renewing = undefined
    })
    await this.#renewing
  }

  /** True if {@link start} has nothing to do: rows read from the catalog hold until a message. */
  isStarted(): boolean {
    return performance.now() < this.#trustedUntil
  }

  /** Returns the session, and opens it if there is none. It may have ended unnoticed. */
  listening(): Promise<Membership> {
    return this.#start()
  }

  /** True if the session is still in use, as far as this process has noticed. */
  isCurrent(listening: Membership): boolean {
    return this.#standing === listening
  }

  /** Sends a message to all processes of the installation. */
  async send(message: object): Promise<void> {
    await (await this.#start()).send(JSON.stringify(message))
  }

  /**
   * Drops the session if this error shows that it is lost.
   *
   * @returns true if it does
   */
  isLostBy(error: unknown, listening: Membership): boolean {
    if (!hasCode(error, 'connection-lost')) return false
    if (this.#standing === listening) this.#lose(this.#starting)
    return true
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

  #start(): Promise<Membership> {
    if (this.#closed) return Promise.reject(closedError())
    if (this.#starting !== undefined) return this.#starting
    const starting = this.#listen(() => this.#lose(starting))
    this.#starting = starting
    void this.#await(starting)
    return starting
  }

  async #await(starting: Promise<Membership>): Promise<void> {
    try {
      const standing = await starting
      if (this.#starting === starting) this.#standing = standing
    } catch {
      this.#lose(starting)
    }
  }

  /** Checks that the session is alive; one that does not answer in time counts as lost. */
  async #renew(starting: Promise<Membership>, end: () => Promise<void>): Promise<void> {
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

  async #listen(onEnd: () => void): Promise<Membership> {
    const checkedAt = performance.now()
    const onMessage = (payload: string) => this.#receive(payload)
    const membership = await this.#home.coordination.join(this.#catalog, { onMessage, onEnd })
    this.#trustedUntil = checkedAt + trustMs
    return membership
  }

  #lose(starting: Promise<Membership> | undefined): void {
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

function parseMessage(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
