import type { ServerConnection } from '../server/port.ts'
import { isSame, type Target } from './target.ts'

/** A connection that is not in use. */
export interface Idle {
  readonly target: Target
  readonly connection: ServerConnection
  /** Since when, by the monotonic clock. */
  readonly since: number
}

/** The time for which an idle connection is kept, in milliseconds. */
const keptMs = 30_000

/** The connections that are not in use, each kept for its own tenant for a while. */
export class IdleConnections {
  /** Least recently used first. */
  readonly #idle: Idle[] = []
  /** One timer for all, set for the first of them: setting one for each takes longer than most are idle. */
  #timer: NodeJS.Timeout | undefined
  readonly #onExpired: (connection: ServerConnection) => void

  /** @param onExpired closes a connection that has expired */
  constructor(onExpired: (connection: ServerConnection) => void) {
    this.#onExpired = onExpired
  }

  get count(): number {
    return this.#idle.length
  }

  keep(target: Target, connection: ServerConnection): void {
    this.#idle.push({ target, connection, since: performance.now() })
    this.#arm()
  }

  /** Takes the tenant's own connection that was used last. */
  take(target: Target): Idle | undefined {
    return this.#takeAt(this.#idle.findLastIndex((idle) => isSame(idle.target, target)))
  }

  /** Takes the least recently used connection of any tenant. */
  takeOldest(): ServerConnection | undefined {
    return this.#takeAt(0)?.connection
  }

  takeAll(isEligible: (target: Target) => boolean = () => true): ServerConnection[] {
    const meant = this.#idle.filter(({ target }) => isEligible(target)).map(({ connection }) => connection)
    for (const connection of meant) this.remove(connection)
    return meant
  }

  /** @returns true if it was there */
  remove(connection: ServerConnection): boolean {
    return this.#takeAt(this.#idle.findIndex((idle) => idle.connection === connection)) !== undefined
  }

  #takeAt(index: number): Idle | undefined {
    return index < 0 ? undefined : this.#idle.splice(index, 1)[0]
  }

  #arm(): void {
    const [oldest] = this.#idle
    if (oldest === undefined || this.#timer !== undefined) return
    const dueMs = oldest.since + keptMs - performance.now()
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, Math.ceil(dueMs))).unref()
  }

  /** Closes expired connections. The one that the timer was set for may have been taken. */
  #expire(): void {
    this.#timer = undefined
    const now = performance.now()
    const expired = this.#idle.filter(({ since }) => now - since >= keptMs)
    for (const { connection } of expired) if (this.remove(connection)) this.#onExpired(connection)
    this.#arm()
  }
}
