/** Measures the parts of a piece of work, one after the other. */
export class Stopwatch {
  readonly #parts = new Map<string, number>()
  #since = performance.now()

  /** Ends a part, which began at the end of the one before. The times of a repeated part add up. */
  lap(part: string): void {
    const now = performance.now()
    this.#parts.set(part, (this.#parts.get(part) ?? 0) + now - this.#since)
    this.#since = now
  }

  /** The time of each part, in milliseconds, in the order in which they first ended. */
  get parts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#parts)
  }
}
