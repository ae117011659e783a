import { throwIfAborted } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { parseTenantId, type TenantId } from '../../kernel/names.ts'
import { eachOf } from '../../kernel/pages.ts'
import { isOver, type NewRollout, type RolloutRow } from '../../catalog/rollout-records.ts'
import type { RolloutState } from '../../catalog/tables.ts'
import type { MakingContext } from '../context.ts'
import { type PlannedVersion, readPlan, type RolloutPlan } from './plan.ts'
import { refuseUnknown, type TenantChoice } from './plan-tenants.ts'
import { refuseUnready } from './ready.ts'
import { requireServer } from '../../server/require-server.ts'
import { rolloutOpenError, requireRollout } from './rollout.ts'
import { RolloutWork, type TakePartOptions } from './take-part.ts'

/** Options of `rollouts.start`. */
export interface RolloutOptions extends TakePartOptions, TenantChoice {
  /** The hazards of the plan to accept, each as `code:object`, such as `drop-column:author.name`. */
  readonly allow?: readonly string[]
  /** The ids of tenants to change first. The others follow once all of them succeeded; a failure halts the rollout. */
  readonly canary?: readonly string[]
  /**
   * The shares of tenants at which a wave ends, such as `[0.05, 0.25]`: the next wave begins once the one before it is over.
   * Default: one wave.
   */
  readonly waves?: readonly number[]
  /** The number of tenants that are changed at once on each server, by all processes together. Default 4. */
  readonly concurrency?: number
  /** The number of failures, other than of a lock or a session, after which no further tenant is begun. Default 10. */
  readonly haltAfter?: number
  /**
   * The longest wait for each lock on a table, in milliseconds: so long, at most, does a tenant's request wait behind the
   * change. A tenant whose lock was not free is tried again. Default 400.
   */
  readonly lockTimeoutMs?: number
  /**
   * The size, in bytes, from which a table counts as large: its tenant is changed by the steps' online forms, where they
   * have one. Default 32 MiB.
   */
  readonly largeTableBytes?: number
  /**
   * The time after which a tenant is given to another process if the one that works on it does not report, in
   * milliseconds. Default 30 s.
   */
  readonly leaseMs?: number
  /** Records the rollout, and leaves its tenants to processes that call `rollouts.work` or `rollouts.join`. */
  readonly detach?: boolean
}

/** A tenant that could not be changed: it has its former version. */
export interface RolloutFailure {
  readonly tenant: TenantId
  readonly server: string
  readonly error: TenantryError
}

/** The result of a rollout, in all processes together. */
export interface RolloutResult {
  /** The number of the rollout; undefined if the plan has no tenants. */
  readonly number: number | undefined
  /**
   * `done` if every tenant was tried; `halted` after too many failures; `paused` or `aborted` by a call; `stopped` by the
   * signal, and `started` with `detach`: then it is still running. Starting the same plan again continues an open rollout.
   */
  readonly outcome: Exclude<RolloutState, 'running'> | 'stopped' | 'started'
  /** The number of tenants that have the desired version and had it not before. */
  readonly changed: number
  readonly failures: readonly RolloutFailure[]
  /** The number of tenants that were not tried, or are to be tried again. */
  readonly left: number
  readonly durationMs: number
}

/** Records a rollout, or continues the open one of the same plan, and works on it until it is over. */
export async function rollOut<Handle>(
  context: MakingContext<Handle>,
  plan: RolloutPlan,
  options: RolloutOptions,
): Promise<RolloutResult> {
  await refuseUnready(context, plan, options)
  const servers = new Set(plan.from.flatMap(({ tenants }) => Object.keys(tenants)))
  for (const name of servers) requireServer(context.servers, name)
  const { only, canary = [] } = options
  await refuseUnknown(context, [...(only ?? []), ...canary])
  const apart = canary.filter((id) => only?.includes(id) === false)
  if (apart.length > 0) {
    throw new TenantryError('invalid-option', `canary names tenants that are not in only: ${apart.join(', ')}.`, {
      hint: 'Add them to only, or leave only out.',
    })
  }
  if (plan.from.length === 0 && !(await context.rolloutRecords.isOpen())) {
    return { number: undefined, outcome: 'done', changed: 0, failures: [], left: 0, durationMs: 0 }
  }
  const rollout = await begin(context, plan, options)
  const { concurrency: _, ...rest } = options
  if (options.detach !== true) return takePart(context, rollout, rest)
  return { ...(await resultOf(context, rollout.number, 'started')), durationMs: 0 }
}

/** Works on a rollout in this process until it is over. */
export async function takePart<Handle>(
  context: MakingContext<Handle>,
  rollout: RolloutRow,
  options: TakePartOptions,
): Promise<RolloutResult> {
  const since = performance.now()
  const work = new RolloutWork(context, rollout, options)
  const outcome = await work.run()
  return { ...(await resultOf(context, rollout.number, outcome, work.errors)), durationMs: performance.now() - since }
}

async function begin<Handle>(
  context: MakingContext<Handle>,
  plan: RolloutPlan,
  options: RolloutOptions,
): Promise<RolloutRow> {
  const { rolloutRecords: records } = context
  const { only, canary = [], waves = [], concurrency = 4, haltAfter = 10, leaseMs = 30_000 } = options
  const { lockTimeoutMs, largeTableBytes, actor, signal } = options
  const rollout: NewRollout = {
    plan: JSON.stringify(plan),
    fingerprint: plan.to.fingerprint,
    from: plan.from.map(({ fingerprint }) => fingerprint),
    only: only?.map(parseTenantId),
    canary: canary.map(parseTenantId),
    waves,
    concurrency,
    haltAfter,
    leaseMs,
    lockTimeoutMs,
    largeTableBytes,
    actor,
  }
  for (;;) {
    throwIfAborted(signal)
    const created = await records.create(rollout)
    if (created !== undefined) return requireRollout(context, created)
    const current = await requireRollout(context, undefined)
    // It may have ended since.
    if (isOver(current.state)) continue
    if (!continues(plan, readPlan(JSON.parse(current.plan)))) throw rolloutOpenError(current.number)
    const extended = await records.extend(current.number, rollout)
    if (extended === 'wider') throw widerError(current.number)
    if (extended === 'extended') return requireRollout(context, current.number)
  }
}

function widerError(number: number): TenantryError {
  return new TenantryError('rollout-open', `The rollout ${number}, of all tenants, is not over.`, {
    hint: `Try failed tenants again with "tenantry retry-rollout", or end it with "tenantry abort-rollout ${number}" to change only some.`,
  })
}

/** True if each step of a plan is in another one: it was made after some tenants were changed. */
function continues(plan: RolloutPlan, former: RolloutPlan): boolean {
  const stepsOf = (version: PlannedVersion | undefined) => JSON.stringify(version?.steps.map(({ sql }) => sql))
  const before = (fingerprint: string) => former.from.find((it) => it.fingerprint === fingerprint)
  return (
    plan.to.fingerprint === former.to.fingerprint &&
    plan.from.every((version) => stepsOf(version) === stepsOf(before(version.fingerprint)))
  )
}

/** The number of failures that are read at once. */
const pageSize = 500

async function resultOf<Handle>(
  { rolloutTargets: targets }: MakingContext<Handle>,
  number: number,
  outcome: RolloutResult['outcome'],
  errors: ReadonlyMap<string, TenantryError> = new Map(),
): Promise<Omit<RolloutResult, 'durationMs'>> {
  const { changed, waiting, running } = await targets.counts(number)
  const failures: RolloutFailure[] = []
  const page = (last: { readonly tenant: TenantId } | undefined) =>
    targets.list(number, { state: 'failed', after: last?.tenant, limit: pageSize })
  for await (const { tenant, server, error: recorded } of eachOf(pageSize, page)) {
    const { code = 'query-failed', message = '', hint } = recorded ?? {}
    const error =
      errors.get(tenant) ?? new TenantryError(code, message, { tenant, ...(hint !== undefined && { hint }) })
    failures.push({ tenant, server, error })
  }
  return { number, outcome, changed, failures, left: waiting + running }
}
