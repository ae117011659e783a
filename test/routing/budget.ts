import { Lease } from '../../dist/routing/lease.js'
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

/** Acquires a connection from a budget, under an admission that stays valid; rejects with its refusal. */
export async function acquire(budget: ServerBudget, row: Lease['row']): Promise<ServerConnection> {
  const source = { budget, row, gate: () => ({ row, isValid: () => true }), loginOf: () => undefined }
  const { origin } = await new Lease(source, [], undefined, undefined).acquire()
  return origin
}
