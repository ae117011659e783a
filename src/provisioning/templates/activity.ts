import { pause, throwIfAborted } from '../../kernel/abort.ts'

/** The interval at which a wait for quiet looks again, in milliseconds. */
const lookMs = 10

/** Tracks work under way, for other work that must not disturb it. */
export class Activity {
  #underWay = 0
  #endedAt = -Infinity

  /** True if any work is under way at this moment. */
  get isBusy(): boolean {
    return this.#underWay > 0
  }

  async track<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay++
    try {
      return await work()
    } finally {
      this.#underWay--
      this.#endedAt = performance.now()
    }
  }

  /**
   * Waits until nothing has been under way for `quietMs` milliseconds, at most `limitMs`.
   *
   * @throws `aborted`
   */
  async quiet(quietMs: number, limitMs: number, signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + limitMs
    const isQuiet = () => !this.isBusy && performance.now() - this.#endedAt >= quietMs
    throwIfAborted(signal)
    while (!isQuiet() && performance.now() < deadline) await pause(lookMs, signal)
  }
}
