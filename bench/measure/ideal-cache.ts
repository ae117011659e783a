/**
 * A cache that keeps the most recently used, one connection for each tenant, and is never in its own way: requests come
 * one after the other, nothing is being opened or closed while it is looked at.
 */
export class IdealCache {
  readonly #size: number
  /** Least recently used first. */
  readonly #kept = new Set<number>()

  constructor(size: number) {
    this.#size = size
  }

  /** Returns the part of the requests that missed. The content of the cache stays for the next ones. */
  missRate(requests: readonly number[]): number {
    return requests.filter((tenant) => !this.#hit(tenant)).length / requests.length
  }

  #hit(tenant: number): boolean {
    const isKept = this.#kept.delete(tenant)
    this.#kept.add(tenant)
    for (const oldest of this.#kept) {
      if (this.#kept.size <= this.#size) break
      this.#kept.delete(oldest)
    }
    return isKept
  }
}
