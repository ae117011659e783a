import type { Lease } from '../../dist/routing/lease.js'
import type { Allowance, ServerBudget } from '../../dist/routing/server-budget.js'
import type { ServerConnection } from '../../dist/server/port.js'

/** Always allows as many. */
export const fixed = (capacity: number): Allowance => ({
  others: 0,
  serve: (budget) => budget.setCapacity(capacity),
  ensure: async () => undefined,
  holds: () => true,
  onClosed: () => undefined,
})

/** Acquires a connection from a budget, without an admission; rejects with its refusal. */
export function acquire(budget: ServerBudget, row: Lease['row']): Promise<ServerConnection> {
  return new Promise((resolve, refuse) => {
    const grant = (origin: ServerConnection, since: number) => {
      Object.assign(lease, { origin, since })
      resolve(origin)
    }
    const lease = { row, wantedAt: performance.now(), login: () => undefined, grant, refuse }
    budget.acquire(lease as unknown as Lease)
  })
}
