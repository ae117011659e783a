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
   * them off, those of the call of `with` or `run`.
   */
  readonly where: readonly string[]
}

/** How many times in its limit a lease is looked at, so that it is reported soon after. */
const looks = 4

/**
 * Reports every lease once that lasts longer than `afterMs` milliseconds; with 0 none.
 *
 * @returns what ends it
 */
export function watchLeases(
  budgets: readonly Pick<ServerBudget, 'lent'>[],
  afterMs: number,
  report: (lease: LongLease) => void,
): () => void {
  if (afterMs === 0) return () => undefined
  const reported = new WeakSet<Lent>()
  const look = () => {
    const now = performance.now()
    for (const lent of budgets.flatMap((budget) => [...budget.lent])) {
      if (now - lent.since < afterMs || reported.has(lent)) continue
      reported.add(lent)
      report({ tenant: lent.target.tenant, heldMs: Math.round(now - lent.since), where: firstLines(lent.where) })
    }
  }
  const timer = setInterval(look, Math.max(1, afterMs / looks))
  timer.unref()
  return () => clearInterval(timer)
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
