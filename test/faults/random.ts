import { createHash } from 'node:crypto'

/** Pseudo-random choices that a seed repeats: the same seed gives the same choices, in any environment. */
export class Random {
  #state: number

  constructor(seed: string) {
    this.#state = createHash('sha256').update(seed).digest().readUInt32LE()
  }

  /** A whole number from 0 up to, and without, the limit. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit)
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  pick<T>(choices: readonly [T, ...T[]] | readonly T[]): T {
    if (choices.length === 0) throw new RangeError('There is nothing to pick from.')
    return choices[this.below(choices.length)] as T
  }

  shuffled<T>(items: readonly T[]): T[] {
    const left = [...items]
    const shuffled: T[] = []
    while (left.length > 0) shuffled.push(...left.splice(this.below(left.length), 1))
    return shuffled
  }

  /** Mulberry32: small, and even enough to choose where to hurt. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
