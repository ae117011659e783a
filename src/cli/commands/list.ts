import type { ListOptions, Tenant, TenantState, Tenantry } from '../../index.ts'
import { eachTenant } from '../each-tenant.ts'
import { defineCommand } from '../define-command.ts'
import { coloured } from '../report.ts'
import { tenantTable } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'
import { versionFrom } from '../version-text.ts'
import { jsonObject, parseList as words, parseWholeNumber } from '../words.ts'

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
      'list --state active,suspended --server eu-1': 'in one of two states, on one server',
      'list --search acme': 'with "acme" in id or display name',
      'list --metadata \'{"plan":"pro"}\' --all --json': 'all that have that, for a program',
    },
  },
  (command) =>
    command
      .option('--state <states>', 'onboarding, active, suspended, offboarded, purging; several with commas', words)
      .option('--server <name>', 'on this server')
      .option('--models-version <version>', 'with this version of the models: its number or its fingerprint')
      .option('--metadata <json>', 'with this in their metadata', jsonObject)
      .option('--search <text>', 'with this in their id or display name')
      .option('--expired', 'offboarded, with an ended retention')
      .option('--limit <number>', 'at most this number', parseWholeNumber, 100)
      .option('--after <id>', 'only those after this id')
      .option('--all', 'all, page by page'),
  (tools, _, options) =>
    tools.withTenantry('read', async (tenantry) => {
      const most = options.all ? Infinity : options.limit
      const tenants = await collect(tenantry, { ...filterOf(options), signal: tools.signal }, most)
      const last = tenants.at(-1)
      const isCut = last !== undefined && tenants.length === most
      return {
        result: { tenants, next: isCut ? last.id : undefined },
        lines: [
          ...(tenants.length > 0 ? tenantTable(tenants) : ['No tenants.']),
          ...(isCut ? [coloured('dim', `There may be more: --after ${last.id}`)] : []),
        ],
      }
    }),
)

function filterOf({ state, server, modelsVersion, metadata, search, expired, after }: Options): ListOptions {
  return {
    ...(state !== undefined && { state }),
    ...(server !== undefined && { server }),
    ...(modelsVersion !== undefined && {
      version: versionFrom(modelsVersion),
    }),
    ...(metadata !== undefined && { metadata }),
    ...(search !== undefined && { search }),
    ...(expired !== undefined && { expired }),
    ...(after !== undefined && { after }),
  }
}

async function collect(tenantry: Tenantry<unknown>, options: ListOptions, most: number): Promise<readonly Tenant[]> {
  const tenants: Tenant[] = []
  for await (const tenant of eachTenant(tenantry, options, most)) {
    tenants.push(tenant)
    if (tenants.length === most) break
  }
  return tenants
}
