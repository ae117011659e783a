import { TenantryError } from '../../kernel/errors.ts'
import { defineCommand } from '../define-command.ts'
import { domainWords } from '../domain-text.ts'
import { historyTable, tenantPairs } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'

interface Options extends CommonOptions {
  readonly history: number
}

/** `tenantry show` */
export const show = defineCommand<Options>(
  {
    usage: 'show <id>',
    summary: 'Show a tenant and its history',
    examples: {
      'show acme': 'the tenant and the last ten entries of its history',
      'show acme --history 100 --json': 'more of it, for a program',
    },
  },
  (command) => command.option('--history <number>', 'the number of entries of its history', parseWholeNumber, 10),
  (tools, [id], options) =>
    tools.withTenantry('read', async (tenantry) => {
      const { signal } = tools
      const tenant = await tenantry.tenants.get(String(id), { signal })
      const domains = tenant && (await tenantry.domains.list(tenant.id, { signal }))
      const history =
        options.history > 0 ? await tenantry.tenants.history(String(id), { limit: options.history, signal }) : []
      if (tenant === undefined && history.length === 0) {
        throw new TenantryError('tenant-unknown', `There is no tenant ${String(id)}.`, {
          tenant: String(id),
          hint: 'See: tenantry list',
        })
      }
      return {
        result: { tenant, domains, history },
        lines: [
          ...(tenant === undefined
            ? ['There is no tenant of this id any more.']
            : tenantPairs(tenant, domainWords(domains))),
          ...(history.length > 0 ? ['', ...historyTable(history)] : []),
        ],
      }
    }),
)
