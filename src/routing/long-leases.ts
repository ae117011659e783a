import type { TenantId } from '../kernel/names.ts'
import type { Lease } from './lease.ts'
import type { ServerBudget } from './server-budget.ts'

/** A connection that was leased long ago and not released. */
export interface LongLease {
  readonly tenant: TenantId
  /** The age of the lease, in milliseconds. */
  readonly heldMs: number
  /**
   * The stack of the request: the lines of the service's own code, the innermost first. If an ORM has cut them off, the
   * lines of the call of `with` or `run`. Empty if no stack was recorded, see {@link WatchOptions.isTraced}.
   */
  readonly where: readonly string[]
}

/** Options of the watch on leases. */
export interface WatchOptions {
  /** The age at which a lease is reported, in milliseconds; 0 for never. */
  readonly afterMs: number
  /**
   * Records a stack trace for every lease, which takes some microseconds. By default recording begins once a lease has
   * lasted for half of `afterMs`.
   */
  readonly isTraced: boolean
  readonly report: (lease: LongLease) => void
}

/** The number of looks at a lease within its limit, so that it is reported soon after. */
const looks = 4

/** Reports every long lease once. */
export class LeaseWatch {
  readonly #budgets: readonly Pick<ServerBudget, 'leases'>[]
  readonly #options: WatchOptions
  readonly #reported = new WeakSet<Lease>()
  readonly #timer: NodeJS.Timeout | undefined
  #traces: boolean

  constructor(budgets: readonly Pick<ServerBudget, 'leases'>[], options: WatchOptions) {
    const { afterMs, isTraced } = options
    this.#budgets = budgets
    this.#options = options
    this.#traces = afterMs > 0 && isTraced
    if (afterMs > 0) this.#timer = setInterval(() => this.#look(), Math.max(1, afterMs / looks)).unref()
  }

  /** True if a stack trace is to be recorded for new leases. */
  get traces(): boolean {
    return this.#traces
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { afterMs, report } = this.#options
    const now = performance.now()
    for (const lease of this.#budgets.flatMap((budget) => [...budget.leases])) {
      const heldMs = now - lease.since
      // A leaked lease seldom is the only one, and the next will have a stack trace.
      if (heldMs >= afterMs / 2) this.#traces = true
      if (heldMs < afterMs || this.#reported.has(lease)) continue
      this.#reported.add(lease)
      report({ tenant: lease.row.id, heldMs: Math.round(heldMs), where: firstLines(lease.where) })
    }
  }
}

/** The depth of a recorded stack: an ORM has a dozen functions between the service and its driver. */
const depth = 20

/** Returns an error made for its stack, which has more lines than usual. */
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
