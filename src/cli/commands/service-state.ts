import type { DrainOptions, VerbOptions } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { outcomeLine } from '../tenant-text.ts'
import type { CommonOptions, Tools } from '../tools.ts'
import { duration, parseWholeNumber } from '../words.ts'

interface DrainWords extends CommonOptions {
  readonly drain?: number
}

interface OffboardWords extends DrainWords {
  readonly retentionDays?: number
}

const drainOption = ['--drain <time>', 'the time for work under way: 500ms, 10s, 2m', duration] as const

function verbOptions({ actor, signal }: Tools): VerbOptions {
  return { actor, signal }
}

function drainOptions(tools: Tools, { drain }: DrainWords): DrainOptions {
  return { ...verbOptions(tools), ...(drain !== undefined && { drainMs: drain }) }
}

/** `tenantry suspend` */
export const suspend = defineCommand<DrainWords>(
  {
    usage: 'suspend <id>',
    summary: 'Take a tenant out of service',
    examples: {
      'suspend acme': 'work under way has ten seconds',
      'suspend acme --drain 0s': 'ends work under way at once',
    },
  },
  (command) => command.option(...drainOption),
  (tools, [id], options) =>
    tools.withTenantry('change', async (tenantry) => {
      const suspending = tenantry.tenants.suspend(String(id), drainOptions(tools, options))
      const result = await tools.progress(`waiting for work on ${String(id)} to end`, () => suspending)
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    }),
)

/** `tenantry resume` */
export const resume = defineCommand(
  {
    usage: 'resume <id>',
    summary: 'Put a suspended tenant back into service',
    examples: { 'resume acme': 'from now on it is served again' },
  },
  (command) => command,
  (tools, [id]) =>
    tools.withTenantry('change', async (tenantry) => {
      const result = await tenantry.tenants.resume(String(id), verbOptions(tools))
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    }),
)

/** `tenantry offboard` */
export const offboard = defineCommand<OffboardWords>(
  {
    usage: 'offboard <id>',
    summary: "End a tenant's service and archive its database",
    examples: {
      'offboard acme': 'it can be restored until it is purged',
      'offboard acme --retention-days 90': '"purge --expired" leaves it for 90 days',
    },
  },
  (command) =>
    command
      .option(...drainOption)
      .option(
        '--retention-days <number>',
        'the days to keep it (default: that of the configuration)',
        parseWholeNumber,
      ),
  (tools, [id], options) =>
    tools.withTenantry('change', async (tenantry) => {
      const { retentionDays } = options
      const offboarding = tenantry.tenants.offboard(String(id), {
        ...drainOptions(tools, options),
        ...(retentionDays !== undefined && { retentionDays }),
      })
      const result = await tools.progress(`waiting for work on ${String(id)} to end`, () => offboarding)
      const { purgeAfter } = result.tenant
      const isKept = purgeAfter !== undefined && purgeAfter > new Date()
      const until = isKept ? `at least until ${purgeAfter.toISOString().slice(0, 10)}` : 'until it is purged'
      return {
        result,
        lines: [outcomeLine(result.outcome, result.tenant), `It can be restored, ${until}.`],
      }
    }),
)

/** `tenantry restore` */
export const restore = defineCommand(
  {
    usage: 'restore <id>',
    summary: 'Bring back an offboarded tenant with all its data',
    examples: { 'restore acme': 'into the state that it had before it was offboarded' },
  },
  (command) => command,
  (tools, [id]) =>
    tools.withTenantry('change', async (tenantry) => {
      const result = await tenantry.tenants.restore(String(id), verbOptions(tools))
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    }),
)
