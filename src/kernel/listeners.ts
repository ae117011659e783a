/** Event listeners. */
export class Listeners<Event> {
  readonly #listeners = new Set<(event: Event) => void>()

  /** @returns an unsubscribe function */
  add(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls all listeners. An error of one becomes an uncaught exception, and changes nothing for the others. */
  emit(event: Event): void {
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
