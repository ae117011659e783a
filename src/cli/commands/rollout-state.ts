import { TenantryError } from '../../kernel/errors.ts'
import type { Rollout, Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import type { Report } from '../report.ts'
import { rolloutLines } from '../rollout-text.ts'
import type { CommonOptions, Tools } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'
import { workOnRollout } from './start-rollout.ts'

interface GoOnOptions extends CommonOptions {
  readonly detach?: boolean
  readonly haltAfter?: number
}

interface RetryWords extends GoOnOptions {
  readonly rollout?: number
}

/** `tenantry pause-rollout` */
export const pauseRollout = defineCommand(
  {
    usage: 'pause-rollout [number]',
    summary: 'Let the processes of a rollout begin no further tenant',
    examples: { 'pause-rollout': 'the open one' },
  },
  (command) => command,
  (tools, [number]) => ended(tools, (tenantry, choice) => tenantry.rollouts.pause(choice), number),
)

/** `tenantry abort-rollout` */
export const abortRollout = defineCommand(
  {
    usage: 'abort-rollout [number]',
    summary: 'End a rollout; tenants that it has changed keep the new version',
    examples: { 'abort-rollout': 'the open one' },
  },
  (command) => command,
  (tools, [number]) => ended(tools, (tenantry, choice) => tenantry.rollouts.abort(choice), number),
)

/** `tenantry resume-rollout` */
export const resumeRollout = defineCommand<GoOnOptions>(
  {
    usage: 'resume-rollout [number]',
    summary: 'Let a paused or halted rollout go on, and work on it',
    examples: { 'resume-rollout': 'the open one', 'resume-rollout --detach': 'in processes of "tenantry work"' },
  },
  (command) =>
    command
      .option('--halt-after <number>', 'failures after which no other tenant is begun', parseWholeNumber)
      .option('--detach', 'leave the tenants to processes of "tenantry work"'),
  (tools, [number], { detach, haltAfter }) =>
    tools.withTenantry('change', async (tenantry) => {
      const rollout = await tenantry.rollouts.resume({
        ...choiceOf(number),
        ...(haltAfter !== undefined && { haltAfter }),
      })
      return goOn(tools, tenantry, rollout, detach)
    }),
)

/** `tenantry retry-rollout` */
export const retryRollout = defineCommand<RetryWords>(
  {
    usage: 'retry-rollout [id...]',
    summary: 'Try failed tenants of a rollout again',
    examples: {
      'retry-rollout': 'all that failed in the open rollout, or else the last one',
      'retry-rollout acme': 'one of them',
    },
  },
  (command) =>
    command
      .option('--rollout <number>', 'another rollout', parseWholeNumber)
      .option('--halt-after <number>', 'failures after which no other tenant is begun', parseWholeNumber)
      .option('--detach', 'leave the tenants to processes of "tenantry work"'),
  (tools, [ids], { rollout: number, detach, haltAfter }) =>
    tools.withTenantry('change', async (tenantry) => {
      const only = ids as readonly string[]
      const rollout = await tenantry.rollouts.retry({
        signal: tools.signal,
        ...(number !== undefined && { rollout: number }),
        ...(only.length > 0 && { only }),
        ...(haltAfter !== undefined && { haltAfter }),
      })
      return goOn(tools, tenantry, rollout, detach)
    }),
)

/** Returns the choice of a rollout by an argument. */
export function choiceOf(number: string | readonly string[] | undefined): { readonly rollout?: number } {
  if (number === undefined) return {}
  if (/^\d{1,9}$/.test(String(number))) return { rollout: Number(number) }
  throw new TenantryError('invalid-option', `${String(number)} is not the number of a rollout.`, {
    hint: 'Write the number alone, or none for the open rollout.',
  })
}

function ended(
  tools: Tools,
  end: (
    tenantry: Tenantry<unknown>,
    choice: { readonly rollout?: number; readonly signal: AbortSignal },
  ) => Promise<Rollout>,
  number: string | readonly string[] | undefined,
): Promise<Report> {
  return tools.withTenantry('change', async (tenantry) => {
    const rollout = await end(tenantry, { ...choiceOf(number), signal: tools.signal })
    return { result: rollout, lines: rolloutLines(rollout) }
  })
}

async function goOn(tools: Tools, tenantry: Tenantry<unknown>, rollout: Rollout, isDetached = false): Promise<Report> {
  if (isDetached) return { result: rollout, lines: rolloutLines(rollout) }
  return workOnRollout(tools, tenantry, rollout.number)
}
