import { Random } from '../../test/faults/random.ts'

/** Enough steps that the rarest of some thousand tenants has its share. */
const resolution = 2 ** 31

/**
 * The tenants of requests, by place from 0. By Zipf's law the tenant at place k is requested in proportion to 1 / (k +
 * 1)^s: a few are requested often, most hardly ever. With s = 0 all alike.
 */
export class Popularity {
  /** The share of all that come before each place, and of itself. */
  readonly #cumulated: readonly number[]

  constructor(tenants: number, s: number) {
    let sum = 0
    const sums = Array.from({ length: tenants }, (_, place) => (sum += (place + 1) ** -s))
    this.#cumulated = sums.map((upTo) => upTo / sum)
  }

  /** So many requests. The same seed gives the same ones. */
  draw(requests: number, seed: string): readonly number[] {
    const random = new Random(seed)
    return Array.from({ length: requests }, () => this.#placeAt(random.below(resolution) / resolution))
  }

  /** Returns the first place whose cumulated share is above this. */
  #placeAt(share: number): number {
    let low = 0
    let high = this.#cumulated.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#cumulated[middle] ?? 1) > share) high = middle
      else low = middle + 1
    }
    return low
  }
}
