import type { TenantryError } from '../kernel/errors.ts'
import type { Asking, Target } from './target.ts'

/**
 * Who waits for a connection, and who has how many: the next goes to the tenant that has the fewest, of several to the one
 * that waits longest. So however much one tenant asks for, another waits for no more than what is under way.
 */
export class WaitingLine {
  readonly #waiters: Asking[] = []
  /** One for all: to set one for each who waits takes longer than most of them wait. */
  #timer: NodeJS.Timeout | undefined
  #firesAt = Infinity
  /** How many connections each tenant has, or is about to have, by its row. */
  readonly #shares = new Map<string, number>()
  readonly #waitMs: number
  readonly #lateness: (asking: Asking) => TenantryError

  /**
   * @param waitMs how long somebody may wait, in milliseconds
   * @param lateness what to tell who has waited for so long
   */
  constructor(waitMs: number, lateness: (asking: Asking) => TenantryError) {
    this.#waitMs = waitMs
    this.#lateness = lateness
  }

  shareOf({ rowId }: Target): number {
    return this.#shares.get(rowId) ?? 0
  }

  /** A tenant has a connection more or less, or is about to. */
  count(target: Target, change: 1 | -1): void {
    const share = this.shareOf(target) + change
    if (share === 0) this.#shares.delete(target.rowId)
    else this.#shares.set(target.rowId, share)
  }

  join(waiter: Asking): void {
    this.#waiters.push(waiter)
    this.#arm(this.#deadlineOf(waiter))
  }

  /**
   * Whose turn it is, among tenants that have less than `most`; from then on a connection counts as theirs.
   *
   * @param isMeant whether a tenant is one that the connection may go to
   */
  next(most: number, isMeant: (target: Target) => boolean): Asking | undefined {
    let chosen = -1
    let fewest = most
    // Not by an iterator, which makes an object for each that is looked at.
    for (let place = 0; place < this.#waiters.length; place++) {
      const { target } = this.#waiters[place] as Asking
      const share = this.shareOf(target)
      if (share >= fewest || !isMeant(target)) continue
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

  /** By the monotonic clock. */
  #deadlineOf({ since }: Asking): number {
    return since + this.#waitMs
  }

  /** It may fire when whoever it was set for has left. */
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
