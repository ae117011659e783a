import { TenantryError } from '../../kernel/errors.ts'
import type { RolloutPlan, RolloutResult, Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { rolloutReport } from '../rollout-text.ts'
import type { CommonOptions, Tools } from '../tools.ts'
import { repeated, parseShares, parseWholeNumber } from '../words.ts'
import { readText } from './plan.ts'

interface Options extends CommonOptions {
  readonly plan?: string
  readonly allow?: readonly string[]
  readonly canary?: readonly string[]
  readonly wave?: readonly number[]
  readonly concurrency?: number
  readonly haltAfter?: number
  readonly largeTable?: number
  readonly detach?: boolean
}

/** `tenantry start-rollout` */
export const startRollout = defineCommand<Options>(
  {
    usage: 'start-rollout [id...]',
    summary: 'Bring tenants to the tables of the models, as planned',
    examples: {
      'start-rollout': 'every tenant of an older version',
      'start-rollout acme': 'one of them, as a trial',
      'start-rollout --plan rollout.json': 'a saved plan',
      'start-rollout --canary acme': 'the rest once acme has succeeded',
      'start-rollout --allow drop-column:author.name': 'with a hazard that is meant',
    },
  },
  (command) =>
    command
      .option('--plan <file>', 'a plan of "tenantry plan --save" (default: planned now)')
      .option('--allow <hazard>', 'a hazard to accept; may be repeated', repeated)
      .option('--canary <id>', 'a tenant to change before the others; may be repeated', repeated)
      .option('--wave <share>', 'the share at which a wave ends; may be repeated', parseShares)
      .option('--concurrency <number>', 'tenants that are changed at once on a server', parseWholeNumber)
      .option('--halt-after <number>', 'failures after which no other tenant is begun', parseWholeNumber)
      .option('--large-table <number>', 'the MiB from which a table is changed online', parseWholeNumber)
      .option('--detach', 'leave the tenants to processes of "tenantry work"'),
  (tools, [ids], { plan, allow = [], canary, wave, concurrency, haltAfter, largeTable, detach }) =>
    tools.withTenantry('change', async (tenantry) => {
      const only = ids as readonly string[]
      const { signal, actor } = tools
      const result = await tools.progress('planning', async (update) => {
        const read = plan === undefined ? await tenantry.rollouts.plan({ signal }) : planFrom(plan)
        return tenantry.rollouts.start(read, {
          allow,
          actor,
          signal,
          ...(only.length > 0 && { only }),
          ...(canary !== undefined && { canary }),
          ...(wave !== undefined && { waves: wave }),
          ...(concurrency !== undefined && { concurrency }),
          ...(haltAfter !== undefined && { haltAfter }),
          ...(largeTable !== undefined && { largeTableBytes: largeTable * 2 ** 20 }),
          ...(detach !== undefined && { detach }),
          onProgress: showProgress(update),
        })
      })
      return rolloutReport(await pausedIfStopped(tenantry, result))
    }),
)

function planFrom(file: string): RolloutPlan {
  try {
    return JSON.parse(readText(file)) as RolloutPlan
  } catch (error) {
    if (error instanceof TenantryError) throw error
    throw new TenantryError('invalid-option', `${file} is no JSON.`, { cause: error })
  }
}

type Progress = Parameters<NonNullable<Parameters<Tenantry<unknown>['rollouts']['start']>[1]>['onProgress'] & {}>[0]

/** Returns a listener that shows the progress, the rate and the time that is left. */
function showProgress(update: (text: string) => void): (progress: Progress) => void {
  const since = performance.now()
  let before: number | undefined
  return ({ changed, failed, total }) => {
    before ??= changed + failed
    const seconds = (performance.now() - since) / 1_000
    const rate = (changed + failed - before) / seconds
    const left = rate > 0 ? `, ${rate.toFixed(1)}/s, ${Math.ceil((total - changed - failed) / rate)} s left` : ''
    update(`${changed} of ${total}, ${failed} failed${left}`)
  }
}

/** Pauses a rollout that Ctrl-C has stopped, so that no other process goes on with it. */
async function pausedIfStopped(tenantry: Tenantry<unknown>, result: RolloutResult): Promise<RolloutResult> {
  const { outcome, number } = result
  if (outcome !== 'stopped' || number === undefined) return result
  try {
    await tenantry.rollouts.pause({ rollout: number })
  } catch (error) {
    // Other processes may have finished it meanwhile.
    if (!(error instanceof TenantryError && error.code === 'rollout-state')) throw error
  }
  return result
}

/** Works on a running rollout until it is over, or Ctrl-C pauses it. */
export async function workOnRollout(tools: Tools, tenantry: Tenantry<unknown>, rollout: number) {
  const { signal, actor } = tools
  const result = await tools.progress('working', (update) =>
    tenantry.rollouts.join({ rollout, signal, actor, onProgress: showProgress(update) }),
  )
  return rolloutReport(await pausedIfStopped(tenantry, result))
}
