import { TenantryError } from '../../kernel/errors.ts'
import type { Cancellable } from '../../kernel/abort.ts'
import type { TenantId } from '../../kernel/names.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import { requireServer } from '../../server/require-server.ts'
import { withSession } from '../../server/with-session.ts'
import type { ProvisioningContext } from '../context.ts'
import type { Hazard } from './hazards.ts'
import { hazardKey, type PlannedVersion, type RolloutPlan } from './plan.ts'
import { countTenants, eachTenantOf, type TenantChoice } from './plan-tenants.ts'
import type { RolloutFailure } from './roll-out.ts'

/** Options of `rollouts.preflight`. */
export interface PreflightOptions extends Cancellable, TenantChoice {
  /** Called after each tenant, with the number of those that were read. */
  readonly onProgress?: (progress: { readonly checked: number; readonly total: number }) => void
}

/** A tenant whose rows are in the way of a step. */
export interface RowsInTheWay {
  readonly tenant: TenantId
  readonly server: string
  /** The hazard, as `code:object`. */
  readonly hazard: string
  /** The number of rows. */
  readonly rows: number
}

/** The result of reading the rows of tenants before a rollout. */
export interface PreflightResult {
  /** `passed` if no tenant has rows in the way, and all could be read; `stopped` by the signal. */
  readonly outcome: 'passed' | 'failed' | 'stopped'
  /** The number of tenants that were read. */
  readonly checked: number
  readonly inTheWay: readonly RowsInTheWay[]
  /** The tenants that could not be read. */
  readonly failures: readonly RolloutFailure[]
  /** The hazards, as `code:object`, that no query can count, such as values that may not be converted. */
  readonly uncounted: readonly string[]
}

/** Counts, in each tenant of a plan, the rows on which its steps would fail. It changes nothing. */
export async function preflight(
  context: ProvisioningContext,
  plan: RolloutPlan,
  options: PreflightOptions,
): Promise<PreflightResult> {
  const { signal, onProgress } = options
  const total = countTenants(plan, options)
  const inTheWay: RowsInTheWay[] = []
  const failures: RolloutFailure[] = []
  let checked = 0
  await eachTenantOf(context, plan, options, async (row, version) => {
    if (signal?.aborted) return
    try {
      inTheWay.push(...(await rowsInTheWay(context, row, version, options)))
      checked++
    } catch (error) {
      if (signal?.aborted) return
      if (!(error instanceof TenantryError)) throw error
      failures.push({ tenant: row.id, server: row.server, error })
    }
    onProgress?.({ checked: checked + failures.length, total })
  })
  const isSound = inTheWay.length + failures.length === 0
  const outcome = signal?.aborted ? 'stopped' : isSound ? 'passed' : 'failed'
  const uncounted = plan.from.flatMap(rowHazards).filter(({ count }) => count === undefined)
  return { outcome, checked, inTheWay, failures, uncounted: [...new Set(uncounted.map(hazardKey))] }
}

function rowHazards({ steps }: PlannedVersion): readonly Hazard[] {
  return steps.flatMap(({ hazards }) => hazards.filter(({ danger }) => danger === 'rows'))
}

async function rowsInTheWay(
  context: ProvisioningContext,
  row: TenantRow,
  version: PlannedVersion,
  { signal }: Cancellable,
): Promise<readonly RowsInTheWay[]> {
  const server = requireServer(context.servers, row.server, row.id)
  const counted = rowHazards(version).flatMap(({ count, ...hazard }) =>
    count === undefined ? [] : [{ count, hazard }],
  )
  if (counted.length === 0) return []
  // As the owner, who sees every row; where row security would hide some from it, the query fails instead.
  const role = context.separation?.groups.objects
  return withSession(server.connect(row.database, { signal, role }), (session) =>
    session.transaction(
      async () => {
        const found: RowsInTheWay[] = []
        for (const { count, hazard } of counted) {
          const { rows } = await session.query<{ rows: number }>(count)
          const number = rows[0]?.rows ?? 0
          const place = { tenant: row.id, server: row.server }
          if (number > 0) found.push({ ...place, hazard: hazardKey(hazard), rows: number })
        }
        return found
      },
      { readOnly: true, rowSecurity: 'off' },
    ),
  )
}
