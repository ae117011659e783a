import { TenantryError } from 'tenantry'
import { expect, it } from 'vitest'

it('an error has a text of bounded length, however long the one that it is made of', () => {
  const text = '\n'.repeat(200_000_000)
  const error = new TenantryError('query-failed', text, { hint: text })
  expect(error.message.length).toBeLessThan(20_000)
  expect(error.hint?.length).toBeLessThan(20_000)
})
