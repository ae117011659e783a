/** Those who want to hear of something. */
export class Listeners<Event> {
  readonly #listeners = new Set<(event: Event) => void>()

  /** @returns what ends it */
  add(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells all. One that throws is heard of, but does not undo what it was told. */
  tell(event: Event): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
