import { defineCommand } from '../define-command.ts'
import { notify } from '../report.ts'
import type { CommonOptions } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly concurrency?: number
}

/** `tenantry work` */
export const work = defineCommand<Options>(
  {
    usage: 'work',
    summary: 'Change the tenants of rollouts to this version, until Ctrl-C',
    examples: { work: 'beside any number of others, on any machine' },
  },
  (command) => command.option('--concurrency <number>', 'tenants that this process changes at once', parseWholeNumber),
  (tools, _, { concurrency }) =>
    tools.withTenantry('change', async (tenantry) => {
      const { signal, actor } = tools
      let changed = 0
      const stop = tenantry.on((event) => {
        if (event.event === 'tenant-changed' && event.verb === 'roll-out') changed++
      })
      notify('Waiting for rollouts to the version of these models. Ctrl-C ends it.')
      await tenantry.rollouts.work({ signal, actor, ...(concurrency !== undefined && { concurrency }) })
      stop()
      return { result: { changed }, lines: [`${changed} changed`] }
    }),
)
