import { abortedError, throwIfAborted } from './abort.ts'

/** Lets at most so many pieces of work run at once; the others wait in the order they came. */
export class ConcurrencyLimit {
  readonly #waiting = new Set<() => void>()
  #free: number

  /** @param max how many at once */
  constructor(max: number) {
    this.#free = max
  }

  /** Runs `work` when its turn comes. @throws `aborted` if the signal comes first */
  async run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    throwIfAborted(signal)
    if (this.#free > 0) this.#free--
    else await this.#turn(signal)
    try {
      return await work()
    } finally {
      this.#passOn()
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        this.#waiting.delete(begin)
        reject(abortedError(signal as AbortSignal))
      }
      this.#waiting.add(begin)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** Hands the place to whoever has waited longest. */
  #passOn(): void {
    for (const begin of this.#waiting) {
      this.#waiting.delete(begin)
      return begin()
    }
    this.#free++
  }
}
