import type { ServerConnection } from '../server/port.ts'
import { isSame, type Target } from './target.ts'

/** A connection that nobody uses. */
interface Idle {
  readonly target: Target
  readonly connection: ServerConnection
  /** Since when, by the monotonic clock. */
  readonly since: number
  readonly expiry: NodeJS.Timeout
}

/** How long one is kept, in milliseconds. */
const keptMs = 30_000

/** The connections that nobody uses at this moment, kept for their own tenants for a while. */
export class IdleConnections {
  /** Least recently used first. */
  readonly #idle: Idle[] = []
  readonly #onExpired: (connection: ServerConnection) => void

  /** @param onExpired is to close one that was kept for long enough */
  constructor(onExpired: (connection: ServerConnection) => void) {
    this.#onExpired = onExpired
  }

  get count(): number {
    return this.#idle.length
  }

  keep(target: Target, connection: ServerConnection): void {
    const expiry = setTimeout(() => {
      if (this.remove(connection)) this.#onExpired(connection)
    }, keptMs)
    expiry.unref()
    this.#idle.push({ target, connection, since: performance.now(), expiry })
  }

  /** The tenant's own that was used last, and since when it is idle. */
  take(target: Target): Pick<Idle, 'connection' | 'since'> | undefined {
    return this.#takeAt(this.#idle.findLastIndex((idle) => isSame(idle.target, target)))
  }

  /** The one longest unused, whosever it is. */
  takeOldest(): ServerConnection | undefined {
    return this.#takeAt(0)?.connection
  }

  takeAll(isMeant: (target: Target) => boolean = () => true): ServerConnection[] {
    const meant = this.#idle.filter(({ target }) => isMeant(target)).map(({ connection }) => connection)
    for (const connection of meant) this.remove(connection)
    return meant
  }

  /** @returns whether it was there */
  remove(connection: ServerConnection): boolean {
    return this.#takeAt(this.#idle.findIndex((idle) => idle.connection === connection)) !== undefined
  }

  #takeAt(index: number): Idle | undefined {
    if (index < 0) return undefined
    const [idle] = this.#idle.splice(index, 1)
    clearTimeout(idle?.expiry)
    return idle
  }
}
