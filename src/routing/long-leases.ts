import type { TenantId } from '../kernel/names.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Lent } from './target.ts'

/** A connection that was lent long ago and not given back. */
export interface LongLease {
  readonly tenant: TenantId
  /** For how long already, in milliseconds. */
  readonly heldMs: number
  /**
   * Where it was asked for: the lines of the stack that are the service's own, the innermost first. Where an ORM has cut
   * them off, those of the call of `with` or `run`. None where it was not noted, see {@link WatchOptions.isTraced}.
   */
  readonly where: readonly string[]
}

/** How leases are watched. */
export interface WatchOptions {
  /** After how long a lease is reported, in milliseconds; 0 for never. */
  readonly afterMs: number
  /**
   * Whether it is noted for every lease where it is asked for, which takes some microseconds; otherwise it is from when one
   * has lasted for half as long.
   */
  readonly isTraced: boolean
  readonly report: (lease: LongLease) => void
}

/** How many times in its limit a lease is looked at, so that it is reported soon after. */
const looks = 4

/** Reports every lease once that lasts for long. */
export class LeaseWatch {
  readonly #budgets: readonly Pick<ServerBudget, 'lent'>[]
  readonly #options: WatchOptions
  readonly #reported = new WeakSet<Lent>()
  readonly #timer: NodeJS.Timeout | undefined
  #traces: boolean

  constructor(budgets: readonly Pick<ServerBudget, 'lent'>[], options: WatchOptions) {
    const { afterMs, isTraced } = options
    this.#budgets = budgets
    this.#options = options
    this.#traces = afterMs > 0 && isTraced
    if (afterMs > 0) this.#timer = setInterval(() => this.#look(), Math.max(1, afterMs / looks)).unref()
  }

  /** Whether it is to be noted at this moment where leases are asked for. */
  get traces(): boolean {
    return this.#traces
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { afterMs, report } = this.#options
    const now = performance.now()
    for (const lent of this.#budgets.flatMap((budget) => [...budget.lent])) {
      const heldMs = now - lent.since
      // One that is forgotten seldom is the only one, and of the next the place is known.
      if (heldMs >= afterMs / 2) this.#traces = true
      if (heldMs < afterMs || this.#reported.has(lent)) continue
      this.#reported.add(lent)
      const { target, where } = lent.asking
      report({ tenant: target.tenant, heldMs: Math.round(heldMs), where: firstLines(where) })
    }
  }
}

/** How deep a stack is kept: an ORM has a dozen functions between the service and its driver. */
const depth = 20

/** An error made for its stack, which has more lines than usual. */
export function here(): Error {
  const usual = Error.stackTraceLimit
  Error.stackTraceLimit = depth
  try {
    return new Error('Leased here.')
  } finally {
    Error.stackTraceLimit = usual
  }
}

const ownFolder = new URL('..', import.meta.url)

function firstLines(places: readonly Error[]): string[] {
  return places.map(ownLines).find(({ length }) => length > 0) ?? []
}

function ownLines({ stack }: Error): string[] {
  const lines = stack?.split('\n').slice(1) ?? []
  return lines
    .map((line) => line.trim().replace(/^at /, ''))
    .filter(
      (line) =>
        !/node:|\/node_modules\//.test(line) && !line.includes(ownFolder.href) && !line.includes(ownFolder.pathname),
    )
}
