/**
 * A map with a limited number of entries: beyond it the least recently used is forgotten. Values must not be
 * `undefined`.
 */
export class RecentlyUsed<Key, Value> {
  readonly #most: number
  readonly #onForgotten: (value: Value) => void
  /** Least recently used first. */
  readonly #entries = new Map<Key, Value>()
  #newest: Key | undefined

  /**
   * @param most the largest number of entries
   * @param onForgotten called with a value that was evicted, not with one that was deleted
   */
  constructor(most: number, onForgotten: (value: Value) => void = () => undefined) {
    this.#most = most
    this.#onForgotten = onForgotten
  }

  /** Returns a value; counts as a use. */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key)
    // Repeated reads of one key move nothing.
    if (value !== undefined && key !== this.#newest) this.#moveToEnd(key, value)
    return value
  }

  set(key: Key, value: Value): void {
    this.#moveToEnd(key, value)
    if (this.#entries.size > this.#most) this.#forgetOldest()
  }

  /** Returns a value without using it. */
  peek(key: Key): Value | undefined {
    return this.#entries.get(key)
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }

  values(): Iterable<Value> {
    return this.#entries.values()
  }

  #moveToEnd(key: Key, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    this.#newest = key
  }

  #forgetOldest(): void {
    for (const [key, value] of this.#entries) {
      this.#entries.delete(key)
      this.#onForgotten(value)
      return
    }
  }
}
