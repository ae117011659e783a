import { pause } from '../../kernel/abort.ts'
import { ConcurrencyLimit } from '../../kernel/concurrency.ts'
import { type TenantryError, hasCode } from '../../kernel/errors.ts'

const [firstPauseMs, longestPauseMs] = [50, 1_000]

/** One attempt to connect; `isLast` is true if no other follows. */
type Attempt<T> = (isLast: boolean) => Promise<T>

/**
 * The wait for a connection while the server has none left, so that busy processes wait for each other instead of
 * failing. A process repeats one attempt at a time; its others stand in line behind it.
 */
export class ConnectionQueue {
  readonly #line = new ConcurrencyLimit(1)
  readonly #limitMs: number
  readonly #isFull: (error: unknown) => boolean
  /** The last attempt was refused. */
  #isWaiting = false

  /**
   * @param limitMs the longest wait for a connection, in milliseconds
   * @param isFull true for an error that waiting helps against
   */
  constructor(limitMs: number, isFull: (error: unknown) => boolean = isAnyFull) {
    this.#limitMs = limitMs
    this.#isFull = isFull
  }

  /** @throws `too-many-connections` once the limit has passed, and the other errors of the attempt */
  async connect<T>(attempt: Attempt<T>, signal: AbortSignal | undefined): Promise<T> {
    const deadline = Date.now() + this.#limitMs
    if (this.#isWaiting) return this.#wait(attempt, deadline, signal)
    try {
      return await attempt(false)
    } catch (error) {
      if (!this.#isFull(error)) throw error
      return this.#wait(attempt, deadline, signal)
    }
  }

  async #wait<T>(attempt: Attempt<T>, deadline: number, signal: AbortSignal | undefined): Promise<T> {
    const limit = AbortSignal.timeout(Math.max(0, deadline - Date.now()))
    const turn = AbortSignal.any([limit, ...(signal === undefined ? [] : [signal])])
    try {
      return await this.#line.run(() => this.#repeat(attempt, deadline, signal), turn)
    } catch (error) {
      const hadNoTurn = hasCode(error, 'aborted') && !signal?.aborted
      if (!hadNoTurn) throw error
      return attempt(true)
    }
  }

  /**
   * Repeats an attempt. The pauses are of random length, so that processes that were refused together do not return
   * together.
   */
  async #repeat<T>(attempt: Attempt<T>, deadline: number, signal: AbortSignal | undefined): Promise<T> {
    this.#isWaiting = true
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const leftMs = deadline - Date.now()
      try {
        const value = await attempt(leftMs <= 0)
        this.#isWaiting = false
        return value
      } catch (error) {
        if (!this.#isFull(error) || leftMs <= 0) throw error
        await pause(Math.min(leftMs, pauseMs * (0.5 + Math.random())), signal)
      }
    }
  }
}

/** True if the server, the database or the role has no connection left. */
function isAnyFull(error: unknown): error is TenantryError {
  return hasCode(error, 'too-many-connections')
}

/** The functions of PostgreSQL that check the CONNECTION LIMIT of a role or a database. */
const ofOne: readonly unknown[] = ['InitializeSessionUserId', 'CheckMyDatabase']

/** True if the server itself has no connection left: one tenant at its limit must keep no other waiting. */
export function isServerFull(error: unknown): boolean {
  if (!isAnyFull(error)) return false
  return !(error.cause instanceof Error && 'routine' in error.cause && ofOne.includes(error.cause.routine))
}
