import { ConcurrencyLimit } from '../../kernel/concurrency.ts'
import { parseTenantId } from '../../kernel/names.ts'
import { eachOf } from '../../kernel/pages.ts'
import { type TenantRow, unknownTenant } from '../../catalog/tenant.ts'
import type { ProvisioningContext } from '../context.ts'
import type { PlannedVersion, RolloutPlan } from './plan.ts'

/** A choice among the tenants of a plan. */
export interface TenantChoice {
  /** The ids of the only tenants, such as those of a trial. Default: every tenant of the plan's versions. */
  readonly only?: readonly string[]
  /** The number of tenants that are worked on at once. Default 4. */
  readonly concurrency?: number
}

/**
 * Works on the active and suspended tenants of a plan, a few at once. An error of `work` ends it.
 *
 * @throws `tenant-unknown`, `invalid-tenant-id` for an id among the only ones, before any work
 */
export async function eachTenantOf(
  context: ProvisioningContext,
  plan: RolloutPlan,
  { only, concurrency = 4 }: TenantChoice,
  work: (row: TenantRow, version: PlannedVersion) => Promise<void>,
): Promise<void> {
  if (only !== undefined) await refuseUnknown(context, only)
  const limit = new ConcurrencyLimit(concurrency)
  const running = new Set<Promise<void>>()
  const errors: unknown[] = []
  for (const version of plan.from) {
    for await (const row of tenantsAt(context, version, only)) {
      const leave = await limit.enter(undefined)
      if (errors.length > 0) break
      const one = work(row, version)
        .catch((error: unknown) => void errors.push(error))
        .finally(() => {
          leave()
          running.delete(one)
        })
      running.add(one)
    }
  }
  await Promise.all(running)
  if (errors.length > 0) throw errors[0]
}

/** @throws `tenant-unknown`, `invalid-tenant-id` for an id that no tenant has */
export async function refuseUnknown({ catalog }: ProvisioningContext, ids: readonly string[]): Promise<void> {
  const wanted = ids.map(parseTenantId)
  const found = await catalog.findAll(wanted)
  const unknown = wanted.find((id) => !found.has(id))
  if (unknown !== undefined) throw unknownTenant(unknown)
}

/** Returns the number of tenants that {@link eachTenantOf} visits, by what was known when the plan was made. */
export function countTenants(plan: RolloutPlan, { only }: TenantChoice): number {
  const counts = plan.from.flatMap(({ tenants }) => Object.values(tenants))
  return only?.length ?? counts.reduce((sum, count) => sum + count, 0)
}

/** The number of tenants that are listed at once. */
const pageSize = 500

/** Returns the tenants of a version that are active or suspended. */
async function* tenantsAt(
  { catalog }: ProvisioningContext,
  { fingerprint }: PlannedVersion,
  only: readonly string[] | undefined,
): AsyncGenerator<TenantRow, void> {
  const filter = { version: fingerprint, states: ['active', 'suspended'] } as const
  const page = (after: TenantRow | undefined) => catalog.list(filter, pageSize, after?.id)
  for await (const row of eachOf(pageSize, page)) if (only?.includes(row.id) !== false) yield row
}
