import { pause } from '../../kernel/abort.ts'
import { hasCode, TenantryError } from '../../kernel/errors.ts'
import type { TenantId } from '../../kernel/names.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { MakingContext, VerbOptions } from '../context.ts'
import { requireServer } from '../../server/require-server.ts'
import { ensureTemplate } from '../templates/template.ts'
import { mayPass } from './apply-steps.ts'
import { bringUpToDate } from './bring-up-to-date.ts'
import type { Hazard } from './hazards.ts'
import { hazardKey, hazardsIn, type PlannedVersion, type RolloutPlan } from './plan.ts'
import { countTenants, eachTenantOf, type TenantChoice } from './plan-tenants.ts'
import { desiredHere } from './plan-rollout.ts'

/** Options of `rollouts.start`. */
export interface RolloutOptions extends VerbOptions, TenantChoice {
  /** The hazards of the plan to accept, each as `code:object`, such as `drop-column:author.name`. */
  readonly allow?: readonly string[]
  /** The number of failures, other than of a lock, after which no further tenant is begun. Default 10. */
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
  /** Called after each tenant. */
  readonly onProgress?: (progress: RolloutProgress) => void
}

/** The progress of a rollout. */
export interface RolloutProgress {
  readonly changed: number
  readonly failed: number
  /** The number of tenants to change when it began. */
  readonly total: number
}

/** A tenant that could not be changed: it has its former version. */
export interface RolloutFailure {
  readonly tenant: TenantId
  readonly server: string
  readonly error: TenantryError
}

/** The result of a rollout in this process. */
export interface RolloutResult {
  /**
   * `done` if every tenant was tried; `halted` after too many failures; `stopped` by the signal. Starting the same plan
   * again goes on with the tenants that are left.
   */
  readonly outcome: 'done' | 'halted' | 'stopped'
  /** The number of tenants that have the desired version and had it not before. */
  readonly changed: number
  readonly failures: readonly RolloutFailure[]
  /** The number of tenants of the plan that were not tried. */
  readonly left: number
  readonly durationMs: number
}

/** Brings tenants to the version of a plan: each in one transaction, verified before its commit. */
export async function rollOut<Handle>(
  context: MakingContext<Handle>,
  plan: RolloutPlan,
  options: RolloutOptions,
): Promise<RolloutResult> {
  const since = performance.now()
  await refuseUnready(context, plan, options)
  await buildTemplates(context, plan, options)
  const { signal, haltAfter = 10 } = options
  const total = countTenants(plan, options)
  const failures: RolloutFailure[] = []
  let [changed, left] = [0, 0]
  // A tenant can hold a lock for as long as it likes, and must not keep the others at their version.
  const isHalted = () => failures.filter(({ error }) => !hasCode(error, 'lock-timeout')).length >= haltAfter
  const isOver = () => signal?.aborted === true || isHalted()
  const one = async (row: TenantRow, version: PlannedVersion) => {
    if (isOver()) return void left++
    try {
      if (await withRetries(() => bringUpToDate(context, row.id, version, options), signal)) changed++
    } catch (error) {
      if (!(error instanceof TenantryError)) throw error
      if (signal?.aborted) return void left++
      failures.push({ tenant: row.id, server: row.server, error })
    }
    options.onProgress?.({ changed, failed: failures.length, total })
  }
  await eachTenantOf(context, plan, options, one)
  const outcome = signal?.aborted ? 'stopped' : isHalted() ? 'halted' : 'done'
  return { outcome, changed, failures, left, durationMs: performance.now() - since }
}

/** Builds what tenants are compared with before one is changed: not while a change holds its locks. */
async function buildTemplates<Handle>(
  context: MakingContext<Handle>,
  plan: RolloutPlan,
  options: RolloutOptions,
): Promise<void> {
  const names = new Set(plan.from.flatMap(({ tenants }) => Object.keys(tenants)))
  for (const name of names) await ensureTemplate(context, requireServer(context.servers, name), options)
}

/** Refuses a plan that cannot be started as it is. @throws `plan-refused`, `not-desired` */
async function refuseUnready<Handle>(
  context: MakingContext<Handle>,
  plan: RolloutPlan,
  { allow = [] }: RolloutOptions,
): Promise<void> {
  if (plan.installation !== context.installationId) {
    throw refused('The plan is of another installation.', 'Make one here: rollouts.plan(), or "tenantry plan".')
  }
  const to = await desiredHere(context)
  if (plan.to.fingerprint !== to.fingerprint) {
    const message = `The plan leads to version ${plan.to.number}, and the desired version is ${to.number}.`
    throw refused(message, 'Make a new plan.')
  }
  const left = plan.from.flatMap(({ number, left: some }) => some.map((text) => `version ${number}: ${text}`))
  if (left.length > 0) {
    const hint = 'Give the statements by the option steps (--steps FILE), or the new names by renames (--rename).'
    throw refused(`The plan does not lead to version ${to.number}. ${left.join('; ')}`, hint)
  }
  const open = hazardsIn(plan).filter((hazard) => !allow.includes(hazardKey(hazard)))
  if (open.length > 0) throw refused(`The plan has hazards: ${open.map(hazardText).join(' ')}`, allowHint(open))
}

function refused(message: string, hint: string): TenantryError {
  return new TenantryError('plan-refused', message, { hint })
}

function hazardText(hazard: Hazard): string {
  return `${hazardKey(hazard)}: ${hazard.reason}`
}

function allowHint(hazards: readonly Hazard[]): string {
  return `Nothing was changed. Allow each that is meant: ${hazards.map((it) => `--allow ${hazardKey(it)}`).join(' ')}.`
}

/** The number of attempts for one tenant, and the pauses between them, in milliseconds. */
const attempts = 6
const pauseMs = { first: 100, most: 3_000 }

/** Repeats the change of a tenant after errors that may pass. */
async function withRetries<T>(change: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await change()
    } catch (error) {
      if (attempt === attempts || !mayPass(error)) throw error
      const ms = Math.min(pauseMs.most, pauseMs.first * 2 ** attempt)
      await pause(ms * (0.5 + Math.random()), signal)
    }
  }
}
