import type { ServerBudget } from './server-budget.ts'
import type { Lent } from './target.ts'

/** How often leases are looked at, and how long a connection stands still before it counts as left; in milliseconds. */
const lookMs = 500

/** What a look found at a connection, as long as nothing has changed since. */
interface Standstill {
  readonly traffic: number
  /** Since when, by the monotonic clock. */
  readonly since: number
  /** True if the server had nothing to do for it when it was examined. The answer may have been on its way. */
  readonly isDoubtful: boolean
}

type RecoveredBudget = Pick<ServerBudget, 'lent' | 'examine'>

/**
 * Takes connections back that would stay lent for ever: those on which work that has ended left something open, such as a
 * stream or a transaction, and those whose answer cannot come any more, since the network or the server is gone.
 *
 * It looks at leases that last, from time to time, so that those of most requests cost nothing.
 */
export class LeaseRecovery {
  readonly #budgets: readonly RecoveredBudget[]
  readonly #checkMs: number
  readonly #standing = new WeakMap<Lent, Standstill>()
  readonly #examining = new Set<RecoveredBudget>()
  readonly #timer: NodeJS.Timeout

  /** @param checkMs after how long without a byte the connection of a statement is examined, in milliseconds; 0 for never */
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
      const silent: Lent[] = []
      for (const lent of budget.lent) {
        if (now - lent.since < lookMs) continue
        const stillMs = now - this.#stillSince(lent, now)
        if (!lent.connection.isAwaited) {
          if (stillMs >= lookMs && lent.asking.scope?.isOver) lent.asking.takeBack?.()
        } else if (this.#checkMs > 0 && stillMs >= this.#checkMs) silent.push(lent)
      }
      if (silent.length > 0 && !this.#examining.has(budget)) void this.#examine(budget, silent)
    }
  }

  #stillSince(lent: Lent, now: number): number {
    const { traffic } = lent.connection
    const before = this.#standing.get(lent)
    if (before?.traffic === traffic) return before.since
    this.#standing.set(lent, { traffic, since: now, isDoubtful: false })
    return now
  }

  /** One after the other: each takes a connection beside the budget. */
  async #examine(budget: RecoveredBudget, silent: readonly Lent[]): Promise<void> {
    this.#examining.add(budget)
    try {
      for (const lent of silent) {
        const before = this.#standing.get(lent)
        if (before === undefined || !isSilent(lent, before)) continue
        const found = await budget.examine(lent).catch(() => 'busy' as const)
        if (!isSilent(lent, before)) continue
        if (found === 'unreachable') return hangUp(silent.filter((it) => isSilent(it, this.#standing.get(it))))
        if (found === 'busy') this.#standing.set(lent, { ...before, since: performance.now(), isDoubtful: false })
        else if (before.isDoubtful) hangUp([lent])
        else this.#standing.set(lent, { ...before, isDoubtful: true })
      }
    } finally {
      this.#examining.delete(budget)
    }
  }
}

function isSilent({ connection }: Lent, before: Standstill | undefined): boolean {
  return connection.isAwaited && connection.traffic === before?.traffic
}

function hangUp(silent: readonly Lent[]): void {
  for (const { connection } of silent) connection.cut()
}
