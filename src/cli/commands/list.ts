import type { ListOptions, Tenant, TenantState, Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { coloured } from '../report.ts'
import { tenantTable } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'
import { jsonObject, list as words, wholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly state?: readonly TenantState[]
  readonly server?: string
  readonly modelsVersion?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly search?: string
  readonly expired?: boolean
  readonly limit: number
  readonly after?: string
  readonly all?: boolean
}

/** `tenantry list` */
export const list = defineCommand<Options>(
  {
    usage: 'list',
    summary: 'List tenants in the order of their ids',
    examples: {
      list: 'the first 100',
      'list --state active,suspended --server eu-1': 'those in one of two states on one server',
      'list --search acme': 'those with "acme" in their id or display name',
      'list --metadata \'{"plan":"pro"}\' --all --json': 'all with that in their metadata, for a program',
    },
  },
  (command) =>
    command
      .option('--state <states>', 'onboarding, active, suspended, offboarded, purging; several with commas', words)
      .option('--server <name>', 'on this server')
      .option('--models-version <version>', 'with this version of the models: its number or its fingerprint')
      .option('--metadata <json>', 'with this in their metadata', jsonObject)
      .option('--search <text>', 'with this in their id or display name')
      .option('--expired', 'offboarded, and their retention has ended')
      .option('--limit <number>', 'at most so many', wholeNumber, 100)
      .option('--after <id>', 'only those after this id')
      .option('--all', 'all, page by page'),
  (tools, _, options) =>
    tools.withTenantry(async (tenantry) => {
      const tenants = await collect(tenantry, { ...filterOf(options), signal: tools.signal }, options.all === true)
      const last = tenants.at(-1)
      const isCut = last !== undefined && options.all !== true && tenants.length === options.limit
      return {
        result: { tenants, next: isCut ? last.id : undefined },
        lines: [
          ...(tenants.length > 0 ? tenantTable(tenants) : ['No tenants.']),
          ...(isCut ? [coloured('dim', `There may be more: --after ${last.id}`)] : []),
        ],
      }
    }),
)

function filterOf({ state, server, modelsVersion, metadata, search, expired, limit, after }: Options): ListOptions {
  return {
    limit,
    ...(state !== undefined && { state }),
    ...(server !== undefined && { server }),
    ...(modelsVersion !== undefined && {
      version: /^\d{1,9}$/.test(modelsVersion) ? Number(modelsVersion) : modelsVersion,
    }),
    ...(metadata !== undefined && { metadata }),
    ...(search !== undefined && { search }),
    ...(expired !== undefined && { expired }),
    ...(after !== undefined && { after }),
  }
}

async function collect(tenantry: Tenantry<unknown>, options: ListOptions, all: boolean): Promise<readonly Tenant[]> {
  if (!all) return tenantry.list(options)
  const tenants: Tenant[] = []
  for (let after = options.after; ; after = tenants.at(-1)?.id) {
    const page = await tenantry.list({ ...options, limit: 1_000, ...(after !== undefined && { after }) })
    tenants.push(...page)
    if (page.length < 1_000) return tenants
  }
}
