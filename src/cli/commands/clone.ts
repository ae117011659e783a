import { defineCommand } from '../define-command.ts'
import { notify } from '../report.ts'
import { outcomeLine } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'
import { duration, jsonObject } from '../words.ts'

interface Options extends CommonOptions {
  readonly displayName?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly drain?: number
  /** False for --no-anonymise. */
  readonly anonymise: boolean
  readonly refuseExisting?: boolean
}

/** `tenantry clone` */
export const clone = defineCommand<Options>(
  {
    usage: 'clone <source> <id>',
    summary: "Create a tenant from a copy of another one's database",
    examples: {
      'clone acme acme-staging': "runs the configuration's anonymise on the copy",
      'clone acme acme-2 --no-anonymise': 'copies everything as it is',
    },
  },
  (command) =>
    command
      .option('--display-name <text>', 'a name for people')
      .option('--metadata <json>', "the service's own notes, as a JSON object", jsonObject)
      .option('--drain <time>', 'the time for work under way on the source: 500ms, 10s, 2m', duration)
      .option('--no-anonymise', "do not run the configuration's anonymise")
      .option('--refuse-existing', 'fail if the id exists already'),
  async (tools, [source, id], { displayName, metadata, drain, anonymise, refuseExisting }) => {
    const config = await tools.config()
    return tools.withTenantry('change', async (tenantry) => {
      const cloning = tenantry.tenants.clone(String(source), String(id), {
        actor: tools.actor,
        signal: tools.signal,
        ...(displayName !== undefined && { displayName }),
        ...(metadata !== undefined && { metadata }),
        ...(drain !== undefined && { drainMs: drain }),
        ...(!anonymise && { anonymise: false }),
        ...(refuseExisting && { existing: 'refuse' }),
      })
      const result = await tools.progress(`copying ${String(source)}`, () => cloning)
      if (result.outcome === 'cloned' && anonymise && config.hooks?.anonymise === undefined) {
        notify('The configuration has no hooks.anonymise: the copy has everything that is in the source.')
      }
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    })
  },
)
