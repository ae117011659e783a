import { type Cancellable, pause, throwIfAborted, untilAborted } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import type { TenantId } from '../../kernel/names.ts'
import { isOver, type RolloutRow } from '../../catalog/rollout-records.ts'
import type { TargetCounts } from '../../catalog/rollout-targets.ts'
import type { RolloutState, TargetError, TargetState } from '../../catalog/tables.ts'
import type { Version } from '../../catalog/versions.ts'
import type { ProvisioningContext } from '../context.ts'
import { readPlan, type RolloutPlan } from './plan.ts'
import { refuseUnknown } from './plan-tenants.ts'

/** A rollout, with the number of its tenants in each state. */
export interface Rollout {
  readonly number: number
  readonly state: RolloutState
  /** The version that its tenants will have. */
  readonly to: Version
  readonly tenants: TargetCounts
  /** The author, if it was given. */
  readonly actor: string | undefined
  readonly startedAt: Date
  readonly endedAt: Date | undefined
}

/** A tenant in a rollout. */
export interface RolloutTarget {
  readonly tenant: TenantId
  readonly server: string
  /** The running number of its version before. */
  readonly from: number | undefined
  /** 0 for canaries, and from 1 for the waves. */
  readonly wave: number
  readonly state: TargetState
  readonly attempts: number
  /** The process that had it last, as `host:pid`. */
  readonly worker: string | undefined
  /** The error of the last attempt. */
  readonly error: TargetError | undefined
  readonly beganAt: Date | undefined
  readonly endedAt: Date | undefined
}

/** A choice of a rollout. */
export interface RolloutChoice extends Cancellable {
  /** Its number. Default: the open rollout, or else the last one. */
  readonly rollout?: number
}

/** Options of `rollouts.resume`. */
export interface ResumeOptions extends RolloutChoice {
  /** The number of further failures, other than of a lock or a session, after which it is halted. Default 10. */
  readonly haltAfter?: number
}

/** Options of `rollouts.retry`. */
export interface RetryOptions extends ResumeOptions {
  /** The ids of the only failed tenants to try again. Default: all of them. */
  readonly only?: readonly string[]
}

/** Options of `rollouts.targets`. */
export interface TargetListOptions extends RolloutChoice {
  readonly state?: TargetState
  /** Only those after this id: the last one of the page before. */
  readonly after?: string
  /** The largest number of tenants. Default 100, at most 1,000. */
  readonly limit?: number
}

/** Returns a rollout: the open one, or else the last one, if no number is given. @throws `rollout-unknown` */
export async function requireRollout(context: ProvisioningContext, number: number | undefined): Promise<RolloutRow> {
  const row = await context.rolloutRecords.find(number)
  if (row !== undefined) return row
  throw new TenantryError(
    'rollout-unknown',
    number === undefined ? 'There is no rollout.' : `There is no rollout ${number}.`,
    {
      hint: 'List them with rollouts.list() or "tenantry show-rollout".',
    },
  )
}

/** Returns a rollout with its counts. @throws `rollout-unknown` */
export async function describeRollout(
  context: ProvisioningContext,
  { rollout, signal }: RolloutChoice,
): Promise<Rollout> {
  const found = requireRollout(context, rollout).then((row) => publicRollout(context, row))
  return untilAborted(found, signal)
}

/** Returns the latest rollouts, the newest first. */
export async function listRollouts(
  context: ProvisioningContext,
  { limit = 20, signal }: Cancellable & { readonly limit?: number },
): Promise<readonly Rollout[]> {
  const rows = await untilAborted(context.rolloutRecords.list(Math.min(limit, 1_000)), signal)
  return Promise.all(rows.map((row) => publicRollout(context, row)))
}

/** Returns the plan of a rollout. @throws `rollout-unknown` */
export async function planOf(context: ProvisioningContext, { rollout, signal }: RolloutChoice): Promise<RolloutPlan> {
  return readPlan(JSON.parse((await untilAborted(requireRollout(context, rollout), signal)).plan))
}

/** Returns tenants of a rollout, in the order of their ids. @throws `rollout-unknown` */
export async function targetsOf(
  context: ProvisioningContext,
  { rollout, state, after, limit = 100, signal }: TargetListOptions,
): Promise<readonly RolloutTarget[]> {
  const row = await untilAborted(requireRollout(context, rollout), signal)
  const numbers = new Map(readPlan(JSON.parse(row.plan)).from.map((it) => [it.fingerprint, it.number]))
  const found = context.rolloutTargets.list(row.number, { state, after, limit: Math.min(limit, 1_000) })
  return (await untilAborted(found, signal)).map(({ fingerprint, ...target }) => {
    return { ...target, from: numbers.get(fingerprint) }
  })
}

/** The time between two looks at a rollout that is watched, in milliseconds. */
const watchMs = 500

/** Yields a rollout whenever it has changed, until it is over. @throws `rollout-unknown`, `aborted` */
export async function* watchRollout(
  context: ProvisioningContext,
  { rollout: number, signal }: RolloutChoice,
): AsyncGenerator<Rollout, void> {
  const watched = (await untilAborted(requireRollout(context, number), signal)).number
  for (let last = ''; ;) {
    const rollout = await describeRollout(context, { rollout: watched, signal })
    const seen = JSON.stringify(rollout)
    if (seen !== last) yield rollout
    if (isOver(rollout.state)) return
    last = seen
    throwIfAborted(signal)
    await pause(watchMs, signal)
  }
}

/** The states that each call starts from, and its own. docs/guides/changing-the-schema.md draws them. */
const transitions = {
  pause: { from: ['running', 'halted'], to: 'paused' },
  resume: { from: ['paused', 'halted'], to: 'running' },
  retry: { from: ['running', 'paused', 'halted', 'done'], to: 'running' },
  abort: { from: ['running', 'paused', 'halted'], to: 'aborted' },
} as const satisfies Record<string, { readonly from: readonly RolloutState[]; readonly to: RolloutState }>

/** Ends a rollout for now, or for good. A tenant that a process is changing is finished. @throws `rollout-state` */
export async function endRollout(
  context: ProvisioningContext,
  call: 'pause' | 'abort',
  { rollout }: RolloutChoice,
): Promise<Rollout> {
  const row = await requireRollout(context, rollout)
  const { from, to } = transitions[call]
  if (row.state !== to && !(await context.rolloutRecords.take(row.number, to, from)))
    throw await wrongStateError(context, row, call)
  return describeRollout(context, { rollout: row.number })
}

/** Lets a rollout go on. @throws `rollout-state`, `rollout-open`, `tenant-unknown`, `plan-refused` */
export async function goOnWith(
  context: ProvisioningContext,
  call: 'resume' | 'retry',
  { rollout, haltAfter = 10, only }: RetryOptions,
): Promise<Rollout> {
  const row = await requireRollout(context, rollout)
  await refuseUnknown(context, only ?? [])
  await refuseUndesired(context, row)
  const retried = call === 'retry' ? (only ?? 'all') : undefined
  const isGoing = await context.rolloutRecords.goOn(row.number, transitions[call].from, haltAfter, retried)
  if (!isGoing && !(call === 'resume' && row.state === 'running')) throw await wrongStateError(context, row, call)
  return describeRollout(context, { rollout: row.number })
}

/** A rollout that is opened again must have processes that work on it. @throws `plan-refused` */
async function refuseUndesired({ catalog }: ProvisioningContext, { number, plan, state }: RolloutRow): Promise<void> {
  const { desired } = await catalog.heads()
  const { to } = readPlan(JSON.parse(plan))
  if (state !== 'done' || desired?.fingerprint === to.fingerprint) return
  const message = `The rollout ${number} leads to version ${to.number}, which is not the desired version any more.`
  throw new TenantryError('plan-refused', message, { hint: 'Plan and start a new one.' })
}

async function wrongStateError(
  context: ProvisioningContext,
  { number }: RolloutRow,
  call: keyof typeof transitions,
): Promise<TenantryError> {
  const { state } = await requireRollout(context, number)
  const other = await requireRollout(context, undefined)
  const mayOtherwise = (transitions[call].from as readonly RolloutState[]).includes(state)
  if (mayOtherwise && other.number !== number && !isOver(other.state)) return rolloutOpenError(other.number)
  return new TenantryError('rollout-state', `The rollout ${number} is ${state}.`, {
    hint: `It takes one that is ${transitions[call].from.join(' or ')}. Start a new one to change further tenants.`,
  })
}

/** The error for a second rollout beside an open one. */
export function rolloutOpenError(number: number): TenantryError {
  return new TenantryError('rollout-open', `The rollout ${number}, of another plan, is not over.`, {
    hint: `Finish it with "tenantry resume-rollout ${number}", or end it with "tenantry abort-rollout ${number}". Tenants that it has changed keep the new version.`,
  })
}

async function publicRollout(context: ProvisioningContext, row: RolloutRow): Promise<Rollout> {
  const { number, state, plan, actor, startedAt, endedAt } = row
  const tenants = await context.rolloutTargets.counts(number)
  return { number, state, to: readPlan(JSON.parse(plan)).to, tenants, actor, startedAt, endedAt }
}
