import { abortedError, throwIfAborted } from './abort.ts'

/** Lets at most so many pieces of work run at once; the others wait in the order they came. */
export class ConcurrencyLimit {
  readonly #waiting = new Set<() => void>()
  readonly #max: () => number
  #running = 0

  /** @param max how many at once, at least one; a number that may change counts as it is when somebody comes or goes */
  constructor(max: number | (() => number)) {
    this.#max = typeof max === 'number' ? () => max : max
  }

  /** Runs `work` when its turn comes. @throws `aborted` if the signal comes first */
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

  /** Waits for a place. @returns what gives it back; a second call does nothing. @throws `aborted` */
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

  /** Hands the place to whoever has waited longest, and any that were added since to those behind. */
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
