import { defineCommand } from '../define-command.ts'
import { shown } from '../report.ts'
import { outcomeLine } from '../tenant-text.ts'

/** `tenantry accept` */
export const accept = defineCommand(
  {
    usage: 'accept <id>',
    summary: "Record that a tenant has this version's tables, after a change by hand",
    examples: { 'accept acme': 'after ALTER TABLE, when "tenantry check acme" says that it matches' },
  },
  (command) => command,
  (tools, [id]) =>
    tools.withTenantry('change', async (tenantry) => {
      const { actor, signal } = tools
      const result = await tenantry.tenants.accept(String(id), { actor, signal })
      const repaired = result.repaired.map(({ kind, name }) => `${kind} ${shown(name)}: owner and privileges repaired`)
      return { result, lines: [outcomeLine(result.outcome, result.tenant), ...repaired] }
    }),
)
