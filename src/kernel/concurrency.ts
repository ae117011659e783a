import { abortedError, throwIfAborted } from './abort.ts'

/** Limits the work that runs at once; further work waits in its order. */
export class ConcurrencyLimit {
  readonly #waiting = new Set<() => void>()
  readonly #max: () => number
  #running = 0

  /** @param max the number at once, at least one; a function is called whenever work begins or ends */
  constructor(max: number | (() => number)) {
    this.#max = typeof max === 'number' ? () => max : max
  }

  /** Runs `work` in its turn. @throws `aborted` if the signal comes first */
  async run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    throwIfAborted(signal)
    if (this.#running < this.#max()) this.#running++
    else await this.#turn(signal)
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  /** Waits for a place. @returns a function that frees it; a second call does nothing. @throws `aborted` */
  enter(signal: AbortSignal | undefined): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const inside = () =>
        new Promise<void>((leave) => {
          resolve(leave)
        })
      this.run(inside, signal).catch(reject)
    })
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

  /** Passes the place to the longest waiter, and places that were added since to the next. */
  #leave(): void {
    this.#running--
    for (const begin of this.#waiting) {
      if (this.#running >= this.#max()) return
      this.#waiting.delete(begin)
      this.#running++
      begin()
    }
  }
}
