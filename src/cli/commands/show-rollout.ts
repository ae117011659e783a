import type { Rollout, RolloutTarget, TargetState, Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { shown, table } from '../report.ts'
import { rolloutLines } from '../rollout-text.ts'
import type { CommonOptions, Tools } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'
import { choiceOf } from './rollout-state.ts'

interface Options extends CommonOptions {
  readonly targets?: string
  readonly limit?: number
  readonly after?: string
  readonly watch?: boolean
}

/** `tenantry show-rollout` */
export const showRollout = defineCommand<Options>(
  {
    usage: 'show-rollout [number]',
    summary: 'Show a rollout: the open one, or else the last one',
    examples: {
      'show-rollout': 'its state, and the number of tenants in each',
      'show-rollout --targets failed': 'and the tenants that failed, with their errors',
      'show-rollout --watch': 'until it is over',
    },
  },
  (command) =>
    command
      .option('--targets <state>', 'its tenants: waiting, running, changed, failed, skipped or all')
      .option('--limit <number>', 'the number of tenants', parseWholeNumber)
      .option('--after <id>', 'tenants after this id')
      .option('--watch', 'wait until the rollout is over'),
  (tools, [number], { targets, limit, after, watch }) =>
    tools.withTenantry('read', async (tenantry) => {
      const choice = { ...choiceOf(number), signal: tools.signal }
      const rollout = watch === true ? await watched(tools, tenantry, choice) : await tenantry.rollouts.get(choice)
      if (targets === undefined) return { result: rollout, lines: rolloutLines(rollout) }
      const found = await tenantry.rollouts.targets({
        ...choice,
        ...(targets !== 'all' && { state: targets as TargetState }),
        ...(limit !== undefined && { limit }),
        ...(after !== undefined && { after }),
      })
      const lines = [...rolloutLines(rollout), ...(found.length > 0 ? ['', ...targetLines(found)] : [])]
      return { result: { ...rollout, targets: found }, lines }
    }),
)

/** Shows a rollout while it changes. @returns its last state */
function watched(
  tools: Tools,
  tenantry: Tenantry<unknown>,
  choice: { readonly rollout?: number; readonly signal: AbortSignal },
): Promise<Rollout> {
  return tools.progress('waiting', async (update) => {
    let last: Rollout | undefined
    for await (const rollout of tenantry.rollouts.watch(choice)) {
      last = rollout
      const { changed, failed, waiting, running } = rollout.tenants
      update(`${rollout.state}: ${changed} of ${changed + failed + waiting + running}, ${failed} failed`)
    }
    return last ?? tenantry.rollouts.get(choice)
  })
}

function targetLines(targets: readonly RolloutTarget[]): string[] {
  return table([
    ['TENANT', 'SERVER', 'FROM', 'WAVE', 'STATE', 'ATTEMPTS', 'ERROR'],
    ...targets.map(({ tenant, server, from, wave, state, attempts, error }) => [
      shown(tenant),
      shown(server),
      from === undefined ? '' : String(from),
      String(wave),
      state,
      String(attempts),
      error === undefined ? '' : `${shown(error.message)} (${error.code})`,
    ]),
  ])
}
