/** Work that may be ended early: each piece by its caller, or all of it together. */
export class WorkUnderWay {
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #ending = new AbortController()

  /** Runs `work` with a signal that is aborted by the caller's, or when all work is ended. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const underWay = work(AbortSignal.any([this.#ending.signal, ...(signal === undefined ? [] : [signal])]))
    this.#underWay.add(underWay)
    try {
      return await underWay
    } finally {
      this.#underWay.delete(underWay)
    }
  }

  /** Waits until all work has ended, by itself or, after a number of milliseconds, by an abort with this reason. */
  async end(deadlineMs: number, reason: Error): Promise<void> {
    const deadline = setTimeout(() => this.#ending.abort(reason), deadlineMs)
    await Promise.allSettled(this.#underWay)
    clearTimeout(deadline)
  }
}
