/** Who is told of something, until they no longer want to be. */
export class Listeners<Told> {
  readonly #listeners = new Set<(told: Told) => void>()

  /** @returns what ends it */
  add(listener: (told: Told) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A listener that throws is heard of, but does not undo what it was told. */
  tell(told: Told): void {
    for (const listener of this.#listeners) {
      try {
        listener(told)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
