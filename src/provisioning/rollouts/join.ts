import { pause } from '../../kernel/abort.ts'
import { hasCode, TenantryError } from '../../kernel/errors.ts'
import type { MakingContext } from '../context.ts'
import { mayPass } from './apply-steps.ts'
import { readPlan } from './plan.ts'
import { takePart, type RolloutResult } from './roll-out.ts'
import { requireRollout, type RolloutChoice } from './rollout.ts'
import type { TakePartOptions } from './take-part.ts'

/** Options of `rollouts.join`. */
export interface JoinOptions extends RolloutChoice, TakePartOptions {}

/** Works on a running rollout in this process until it is over. */
export async function joinRollout<Handle>(
  context: MakingContext<Handle>,
  { rollout, ...options }: JoinOptions,
): Promise<RolloutResult> {
  const row = await requireRollout(context, rollout)
  if (row.state !== 'running') {
    throw new TenantryError('rollout-state', `The rollout ${row.number} is ${row.state}.`, {
      hint: 'Let it go on first: rollouts.resume(), or "tenantry resume-rollout".',
    })
  }
  if (row.fingerprint !== context.fingerprint) {
    const { number } = readPlan(JSON.parse(row.plan)).to
    const message = `The rollout ${row.number} leads to version ${number}, which is not that of this process's models.`
    throw new TenantryError('plan-refused', message, { hint: 'Join it from a process of that version.' })
  }
  return takePart(context, row, options)
}

/** The time between two looks for a rollout, in milliseconds. */
const lookMs = 2_000

/** Works on every rollout to this process's version, until the signal ends it. */
export async function workOnRollouts<Handle>(context: MakingContext<Handle>, options: TakePartOptions): Promise<void> {
  const { signal } = options
  const isOver = () => signal?.aborted === true
  while (!isOver()) {
    try {
      const number = await context.rolloutRecords.running(context.fingerprint)
      if (number !== undefined) await takePart(context, await requireRollout(context, number), options)
    } catch (error) {
      // Such as a restart of the catalog's server: it looks again. A signal ends it without an error.
      if (!mayPass(error) && !(isOver() && hasCode(error, 'aborted'))) throw error
    }
    await pause(lookMs, signal).catch(() => undefined)
  }
}
