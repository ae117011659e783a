import type { Allowance } from '../../dist/routing/server-budget.js'

/** Always allows as many. */
export const fixed = (capacity: number): Allowance => ({
  others: 0,
  serve: (budget) => budget.setCapacity(capacity),
  ensure: async () => undefined,
  holds: () => true,
  onClosed: () => undefined,
})
