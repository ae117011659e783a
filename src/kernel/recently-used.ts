/** So many entries at most: beyond, the one longest unused is forgotten. Values must not be `undefined`. */
export class RecentlyUsed<Key, Value> {
  readonly #most: number
  readonly #onForgotten: (value: Value) => void
  /** Longest unused first. */
  readonly #entries = new Map<Key, Value>()
  #newest: Key | undefined

  /**
   * @param most how many entries there are at most
   * @param onForgotten is told of a value that had to go, not of one that was deleted
   */
  constructor(most: number, onForgotten: (value: Value) => void = () => undefined) {
    this.#most = most
    this.#onForgotten = onForgotten
  }

  /** Counts as a use. */
  get(key: Key): Value | undefined {
    const value = this.#entries.get(key)
    // Where one key is asked for again and again, nothing has to be moved.
    if (value !== undefined && key !== this.#newest) this.#moveToEnd(key, value)
    return value
  }

  set(key: Key, value: Value): void {
    this.#moveToEnd(key, value)
    if (this.#entries.size > this.#most) this.#forgetOldest()
  }

  /** What is there, without using it. */
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
