import type { Lease } from './lease.ts'
import type { ServerBudget } from './server-budget.ts'

/**
 * The interval at which leases are examined, and the time without traffic after which a connection counts as left open;
 * in milliseconds.
 */
const lookMs = 500

/** The state of a connection at a look, as long as it has not changed since. */
interface Standstill {
  readonly traffic: number
  /** Since when, by the monotonic clock. */
  readonly since: number
  /** True if the server was idle for it when it was examined. The answer may have been on its way. */
  readonly isDoubtful: boolean
}

type RecoveredBudget = Pick<ServerBudget, 'leases' | 'examine'>

/**
 * Takes back connections that would stay leased for ever. There are two kinds: work that has ended left something open,
 * such as a stream or a transaction; or an answer can no longer arrive, since the network or the server has failed. It
 * examines long leases from time to time, so that the short leases of most requests cost nothing.
 */
export class LeaseRecovery {
  readonly #budgets: readonly RecoveredBudget[]
  readonly #checkMs: number
  readonly #standing = new WeakMap<Lease, Standstill>()
  readonly #examining = new Set<RecoveredBudget>()
  readonly #timer: NodeJS.Timeout

  /**
   * @param checkMs the time without a byte after which the connection of a statement is examined, in milliseconds; 0
   *   for never
   */
  constructor(budgets: readonly RecoveredBudget[], checkMs: number) {
    this.#budgets = budgets
    this.#checkMs = checkMs
    this.#timer = setInterval(() => this.#look(), lookMs).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = performance.now()
    for (const budget of this.#budgets) {
      const silent: Lease[] = []
      for (const lease of budget.leases) {
        if (now - lease.since < lookMs) continue
        const stillMs = now - this.#stillSince(lease, now)
        if (!lease.origin.isAwaited) {
          if (stillMs >= lookMs && lease.scope?.isOver) lease.release(true)
        } else if (this.#checkMs > 0 && stillMs >= this.#checkMs) silent.push(lease)
      }
      if (silent.length > 0 && !this.#examining.has(budget)) void this.#examine(budget, silent)
    }
  }

  #stillSince(lease: Lease, now: number): number {
    const { traffic } = lease.origin
    const before = this.#standing.get(lease)
    if (before?.traffic === traffic) return before.since
    this.#standing.set(lease, { traffic, since: now, isDoubtful: false })
    return now
  }

  /** One after the other: each takes a connection beside the budget. */
  async #examine(budget: RecoveredBudget, silent: readonly Lease[]): Promise<void> {
    this.#examining.add(budget)
    try {
      for (const lease of silent) {
        const before = this.#standing.get(lease)
        if (before === undefined || !isSilent(lease, before)) continue
        const found = await budget.examine(lease).catch(() => 'busy' as const)
        if (!isSilent(lease, before)) continue
        if (found === 'unreachable') return cut(silent.filter((it) => isSilent(it, this.#standing.get(it))))
        if (found === 'busy') this.#standing.set(lease, { ...before, since: performance.now(), isDoubtful: false })
        else if (before.isDoubtful) cut([lease])
        else this.#standing.set(lease, { ...before, isDoubtful: true })
      }
    } finally {
      this.#examining.delete(budget)
    }
  }
}

function isSilent({ origin }: Lease, before: Standstill | undefined): boolean {
  return origin.isAwaited && origin.traffic === before?.traffic
}

function cut(silent: readonly Lease[]): void {
  for (const { origin } of silent) origin.cut()
}
