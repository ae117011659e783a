import { defineCommand } from '../define-command.ts'

/** `tenantry remove-templates` */
export const removeTemplates = defineCommand(
  {
    usage: 'remove-templates',
    summary: 'Drop templates and spares, before pg_upgrade',
    examples: { 'remove-templates': 'after stopping the services that keep spares' },
  },
  (command) => command,
  (tools) =>
    tools.withTenantry('change', async (tenantry) => {
      const result = await tools.progress('dropping templates and spares', () =>
        tenantry.templates.remove({ signal: tools.signal }),
      )
      const { templates, spares, isKept } = result
      return {
        result,
        lines: [
          `dropped: ${counted(templates, 'template')}, ${counted(spares, 'spare')}`,
          ...(isKept ? ['A running process keeps spares and makes them anew: stop it, and repeat this.'] : []),
        ],
      }
    }),
)

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
