import type { Allowance, ServerBudget } from '../../dist/routing/server-budget.js'
import type { Target } from '../../dist/routing/target.js'
import type { ServerConnection } from '../../dist/server/port.js'

/** Always allows as many. */
export const fixed = (capacity: number): Allowance => ({
  others: 0,
  serve: (budget) => budget.setCapacity(capacity),
  ensure: async () => undefined,
  holds: () => true,
  onClosed: () => undefined,
})

/** Acquires a connection from a budget; rejects with its refusal. */
export function acquire(budget: ServerBudget, target: Target): Promise<ServerConnection> {
  return new Promise((grant, refuse) => budget.acquire({ target, where: [], since: performance.now(), grant, refuse }))
}
