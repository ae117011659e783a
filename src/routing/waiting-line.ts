import type { TenantryError } from '../kernel/errors.ts'
import type { ConnectionRequest, Target } from './target.ts'

/**
 * The queue of requests for a connection, and the number of connections of each tenant. The next connection goes to the
 * tenant with the fewest; among equals to the longest waiter. So however much one tenant requests, another waits only
 * for work under way.
 */
export class WaitingLine {
  readonly #waiters: ConnectionRequest[] = []
  /** One timer for all: setting one for each waiter takes longer than most of them wait. */
  #timer: NodeJS.Timeout | undefined
  #firesAt = Infinity
  /** The number of connections that each tenant has, or is about to have, by its row. */
  readonly #shares = new Map<string, number>()
  readonly #waitMs: number
  readonly #lateness: (request: ConnectionRequest) => TenantryError

  /**
   * @param waitMs the longest wait, in milliseconds
   * @param lateness returns the error for a request that has waited for so long
   */
  constructor(waitMs: number, lateness: (request: ConnectionRequest) => TenantryError) {
    this.#waitMs = waitMs
    this.#lateness = lateness
  }

  shareOf({ rowId }: Target): number {
    return this.#shares.get(rowId) ?? 0
  }

  /** Counts a connection that a tenant gets or loses, or is about to. */
  count(target: Target, change: 1 | -1): void {
    const share = this.shareOf(target) + change
    if (share === 0) this.#shares.delete(target.rowId)
    else this.#shares.set(target.rowId, share)
  }

  join(waiter: ConnectionRequest): void {
    this.#waiters.push(waiter)
    this.#arm(this.#deadlineOf(waiter))
  }

  /**
   * Takes the request whose turn it is, among tenants that have less than `most`; from then on a connection counts as
   * theirs.
   *
   * @param isEligible true for a tenant that the connection may go to
   */
  next(most: number, isEligible: (target: Target) => boolean): ConnectionRequest | undefined {
    let chosen = -1
    let fewest = most
    // Not by an iterator, which makes an object for each element.
    for (let place = 0; place < this.#waiters.length; place++) {
      const { target } = this.#waiters[place] as ConnectionRequest
      const share = this.shareOf(target)
      if (share >= fewest || !isEligible(target)) continue
      chosen = place
      fewest = share
      if (share === 0) break
    }
    if (chosen < 0) return undefined
    const waiter = chosen === 0 ? this.#waiters.shift() : this.#waiters.splice(chosen, 1)[0]
    if (waiter !== undefined) this.count(waiter.target, 1)
    return waiter
  }

  refuseAll(error: TenantryError): void {
    clearTimeout(this.#timer)
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(error)
  }

  /** Returns the deadline of a request, by the monotonic clock. */
  #deadlineOf({ since }: ConnectionRequest): number {
    return since + this.#waitMs
  }

  /** Sets the timer. It may fire after the request that it was set for has left. */
  #arm(deadline: number): void {
    if (deadline >= this.#firesAt) return
    clearTimeout(this.#timer)
    this.#firesAt = deadline
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, deadline - performance.now())).unref()
  }

  #expire(): void {
    this.#firesAt = Infinity
    const now = performance.now()
    const late = this.#waiters.filter((waiter) => this.#deadlineOf(waiter) <= now)
    for (const waiter of late) this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
    for (const waiter of late) waiter.refuse(this.#lateness(waiter))
    const first = Math.min(...this.#waiters.map((waiter) => this.#deadlineOf(waiter)))
    if (first < Infinity) this.#arm(first)
  }
}
