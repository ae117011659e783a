import { TenantryError } from '../../kernel/errors.ts'
import type { RolloutPlan, RolloutResult } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue, coloured, failureLine } from '../report.ts'
import type { CommonOptions } from '../tools.ts'
import { repeated, parseWholeNumber } from '../words.ts'
import { readText } from './plan.ts'

interface Options extends CommonOptions {
  readonly plan?: string
  readonly allow?: readonly string[]
  readonly concurrency?: number
  readonly haltAfter?: number
  readonly largeTable?: number
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
      'start-rollout --allow drop-column:author.name': 'with a hazard that is meant',
    },
  },
  (command) =>
    command
      .option('--plan <file>', 'a plan of "tenantry plan --save" (default: planned now)')
      .option('--allow <hazard>', 'a hazard to accept; may be repeated', repeated)
      .option('--concurrency <number>', 'tenants that are changed at once', parseWholeNumber)
      .option('--halt-after <number>', 'failures after which no other tenant is begun', parseWholeNumber)
      .option('--large-table <number>', 'the MiB from which a table is changed online', parseWholeNumber),
  (tools, [ids], { plan, allow = [], concurrency, haltAfter, largeTable }) =>
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
          ...(concurrency !== undefined && { concurrency }),
          ...(haltAfter !== undefined && { haltAfter }),
          ...(largeTable !== undefined && { largeTableBytes: largeTable * 2 ** 20 }),
          onProgress: ({ changed, failed, total }) => update(`${changed} of ${total}, ${failed} failed`),
        })
      })
      const failures = result.failures.map(({ error, ...failure }) => ({ ...failure, error: asValue(error) }))
      return { result: { ...result, failures }, lines: resultLines(result), exitCode: rolloutExitCode(result) }
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

function resultLines({ outcome, changed, failures, left }: RolloutResult): string[] {
  const counts = [`${changed} changed`, `${failures.length} failed`, ...(left > 0 ? [`${left} left`] : [])]
  return [
    ...failures.map(({ tenant, error }) => failureLine(tenant, error)),
    `${coloured(outcome === 'done' && failures.length === 0 ? 'green' : 'red', outcome)}: ${counts.join(', ')}`,
    ...(outcome === 'done' ? [] : ['Run it again to go on: tenants that were changed keep the new version.']),
  ]
}

function rolloutExitCode({ outcome, failures }: RolloutResult) {
  if (outcome === 'stopped') return exitCodes.interrupted
  return outcome === 'done' && failures.length === 0 ? exitCodes.done : exitCodes.failed
}
