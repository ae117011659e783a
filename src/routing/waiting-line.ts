/** A request for a connection to a tenant's database. */
export interface ConnectionRequest {
  /** A connection is leased only for the row and the database that it was opened for. */
  readonly row: TenantDatabase
  /** The time of the first attempt: the wait of a repeated request counts from then. */
  readonly wantedAt: number
}

/** A tenant's row and database. A later tenant that has the same database gets connections of its own. */
export interface TenantDatabase {
  readonly rowId: string
  readonly database: string
}

/** True if a connection for one fits the other. */
export function isSame(one: TenantDatabase, other: TenantDatabase): boolean {
  return one.rowId === other.rowId && one.database === other.database
}

/**
 * The queue of requests for a connection, and the number of connections of each tenant. The next connection goes to the
 * tenant with the fewest; among equals to the longest waiter. So however much one tenant requests, another waits only
 * for work under way.
 */
export class WaitingLine<R extends ConnectionRequest> {
  readonly #waiters: R[] = []
  /** The number of connections that each tenant has, or is about to have, by its row. */
  readonly #shares = new Map<string, number>()

  get isEmpty(): boolean {
    return this.#waiters.length === 0
  }

  /** The earliest time since which a request waits; infinite without one. */
  get earliest(): number {
    return Math.min(...this.#waiters.map(({ wantedAt }) => wantedAt))
  }

  shareOf({ rowId }: TenantDatabase): number {
    return this.#shares.get(rowId) ?? 0
  }

  /** Counts a connection that a tenant gets or loses, or is about to. */
  count(row: TenantDatabase, change: 1 | -1): void {
    const share = this.shareOf(row) + change
    if (share === 0) this.#shares.delete(row.rowId)
    else this.#shares.set(row.rowId, share)
  }

  join(waiter: R): void {
    this.#waiters.push(waiter)
  }

  /**
   * Takes the request whose turn it is, among tenants that have less than `most`.
   *
   * @param isEligible true for a tenant that can be served, by its share
   */
  next(most: number, isEligible: (row: TenantDatabase, share: number) => boolean): R | undefined {
    let chosen = -1
    let fewest = most
    // Not by an iterator, which makes an object for each element.
    for (let place = 0; place < this.#waiters.length && fewest > 0; place++) {
      const { row } = this.#waiters[place] as R
      const share = this.shareOf(row)
      if (share >= fewest || !isEligible(row, share)) continue
      chosen = place
      fewest = share
    }
    if (chosen < 0) return undefined
    return chosen === 0 ? this.#waiters.shift() : this.#waiters.splice(chosen, 1)[0]
  }

  /** Takes the requests that have waited since `time` or longer. */
  takeSince(time: number): R[] {
    const late = this.#waiters.filter(({ wantedAt }) => wantedAt <= time)
    for (const waiter of late) this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
    return late
  }
}
