/** What is known of a server's budget and of the processes that divide it, at one moment. */
export interface Division {
  /** How many connections all may have together. */
  readonly budget: number
  /** This process. */
  readonly self: string
  /** What each of the other processes has set aside for itself. */
  readonly others: ReadonlyMap<string, number>
  /** What is kept free for processes that do not divide the budget any more. */
  readonly absent: ReadonlyMap<string, number>
  /** How many connections are kept free for such processes, as another process has reported. */
  readonly reported: number
}

/** What a process should have: all have the same, and what is left over goes to the first by name. */
export function fairPart({ budget, self, others, absent, reported }: Division): number {
  const processes = [self, ...others.keys()].toSorted()
  const divisible = Math.max(0, budget - Math.max(sumOf(absent), reported))
  const rest = processes.indexOf(self) < divisible % processes.length ? 1 : 0
  return Math.floor(divisible / processes.length) + rest
}

/** How many connections are nobody else's. */
export function freePart({ budget, others, absent }: Division): number {
  return Math.max(0, budget - sumOf(others) - sumOf(absent))
}

/** All parts together. */
export function sumOf(parts: ReadonlyMap<string, number>): number {
  return [...parts.values()].reduce((sum, part) => sum + part, 0)
}

/**
 * How many of so many connections one tenant may have: its share, rounded up. Below a share of 1 at least one is left for
 * others, where there are two.
 */
export function tenantPart(connections: number, share: number): number {
  if (share === 1) return connections
  return Math.max(1, Math.min(connections - 1, Math.ceil(connections * share)))
}
