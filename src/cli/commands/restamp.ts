import { defineCommand } from '../define-command.ts'
import { outcomeLine } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'

interface Options extends CommonOptions {
  readonly allowDifferences?: boolean
}

/** `tenantry restamp` */
export const restamp = defineCommand<Options>(
  {
    usage: 'restamp <id>',
    summary: "Stamp a tenant's database that was restored from a backup",
    examples: { 'restamp acme': 'after pg_restore, into a database of the same name' },
  },
  (command) => command.option('--allow-differences', 'even if the database differs from the models'),
  (tools, [id], { allowDifferences }) =>
    tools.withTenantry('change', async (tenantry) => {
      const result = await tenantry.tenants.restamp(String(id), {
        actor: tools.actor,
        signal: tools.signal,
        ...(allowDifferences && { differences: 'allow' as const }),
      })
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    }),
)
