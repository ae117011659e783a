/** A process that does not divide the budget any more. */
interface Absent {
  /** What it had set aside for itself. */
  readonly share: number
  /** Since when it is absent, by the monotonic clock. */
  readonly since: number
}

/**
 * What is kept free for processes that do not divide a budget any more: all that they had set aside until they must have
 * noticed, and from then on as many connections as they still have.
 */
export class AbsentProcesses {
  readonly #unawareMs: number
  readonly #present = new Map<string, number>()
  readonly #absent = new Map<string, Absent>()

  /** @param unawareMs how long a process that is absent may not know it, in milliseconds */
  constructor(unawareMs: number) {
    this.#unawareMs = unawareMs
  }

  /** Whether there is any, as far as this process has seen. */
  get any(): boolean {
    return this.#absent.size > 0
  }

  /**
   * Notes who divides the budget at this moment, and what each has set aside.
   *
   * @param now the time of the monotonic clock, in milliseconds
   */
  note(present: ReadonlyMap<string, number>, now: number): void {
    for (const [process, share] of this.#present) {
      if (!present.has(process)) this.#absent.set(process, { share, since: now })
    }
    this.#present.clear()
    for (const [process, share] of present) {
      this.#present.set(process, share)
      this.#absent.delete(process)
    }
  }

  /** A process said that it has closed all its connections. */
  left(process: string): void {
    this.#present.delete(process)
    this.#absent.delete(process)
  }

  /**
   * What is to be kept free for each of them.
   *
   * @param sessions how many sessions each process has on the server, those that are present among them
   * @param free what is nobody's who is present: one that was never seen here may have had all of it
   */
  parts(sessions: ReadonlyMap<string, number>, free: number, now: number): Map<string, number> {
    for (const process of sessions.keys()) {
      if (this.#present.has(process) || this.#absent.has(process)) continue
      this.#absent.set(process, { share: free, since: now })
    }
    const parts = new Map<string, number>()
    for (const [process, { share, since }] of this.#absent) {
      const count = sessions.get(process) ?? 0
      if (now < since + this.#unawareMs) parts.set(process, Math.max(count, share))
      else if (count > 0) parts.set(process, count)
      else this.#absent.delete(process)
    }
    return parts
  }
}
