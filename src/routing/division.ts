/** A server's budget and the processes that divide it, at one moment. */
export interface Division {
  /** The number of connections for all processes together. */
  readonly budget: number
  /** This process. */
  readonly self: string
  /** The reservation of each of the other processes. */
  readonly others: ReadonlyMap<string, number>
  /** The connections kept free for processes that have stopped dividing the budget. */
  readonly absent: ReadonlyMap<string, number>
  /** The number of connections kept free for such processes, as another process reported. */
  readonly reported: number
}

/** Returns the fair part of a process: all parts are equal, and a remainder goes to the first processes by name. */
export function fairPart({ budget, self, others, absent, reported }: Division): number {
  const processes = [self, ...others.keys()].toSorted()
  const divisible = Math.max(0, budget - Math.max(sumOf(absent), reported))
  const rest = processes.indexOf(self) < divisible % processes.length ? 1 : 0
  return Math.floor(divisible / processes.length) + rest
}

/** Returns the number of connections that no other process has. */
export function freePart({ budget, others, absent }: Division): number {
  return Math.max(0, budget - sumOf(others) - sumOf(absent))
}

/** Returns the sum of all parts. */
export function sumOf(parts: ReadonlyMap<string, number>): number {
  return [...parts.values()].reduce((sum, part) => sum + part, 0)
}

/**
 * Returns the number of connections that one tenant may have: its share, rounded up. For a share below 1 at least one
 * connection is left for others, if there are two.
 */
export function tenantPart(connections: number, share: number): number {
  if (share === 1) return connections
  return Math.max(1, Math.min(connections - 1, Math.ceil(connections * share)))
}
