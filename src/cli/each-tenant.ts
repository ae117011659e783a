import { eachOf } from '../kernel/pages.ts'
import type { ListOptions, Tenant, Tenantry } from '../index.ts'

/** The largest page of Tenantry's list. */
const largestPage = 1_000

/** Returns the tenants of all pages. @param size the number in each page */
export function eachTenant(
  tenantry: Tenantry<unknown>,
  { after: first, ...options }: ListOptions,
  size = largestPage,
): AsyncGenerator<Tenant, void> {
  const limit = Math.min(size, largestPage)
  return eachOf(limit, (last) => {
    const after = last?.id ?? first
    return tenantry.tenants.list({ ...options, limit, ...(after !== undefined && { after }) })
  })
}
