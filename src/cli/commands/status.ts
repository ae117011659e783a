import { defineCommand } from '../define-command.ts'
import { pairs, shown, table } from '../report.ts'

/** `tenantry status` */
export const status = defineCommand(
  {
    usage: 'status',
    summary: 'Count tenants by state, server and version',
    examples: { status: 'the whole installation', 'status --json': 'for a program' },
  },
  (command) => command,
  (tools) =>
    tools.withTenantry(async (tenantry) => {
      const result = await tenantry.status({ signal: tools.signal })
      const { installation, catalog, tenants, servers, versions } = result
      return {
        result,
        lines: [
          ...pairs({
            installation,
            catalog: `${catalog.database} on ${shown(catalog.server)}, migration ${catalog.migration}`,
          }),
          '',
          ...table([['STATE', 'TENANTS'], ...Object.entries(tenants).map(([state, count]) => [state, String(count)])]),
          '',
          ...table([
            ['SERVER', 'STATE', 'TENANTS'],
            ...servers.map((it) => [shown(it.name), it.state, String(it.tenants)]),
          ]),
          '',
          ...table([
            ['VERSION', 'TENANTS', 'FINGERPRINT'],
            ...versions.map((it) => [
              String(it.number),
              String(it.tenants),
              `${it.fingerprint.slice(0, 12)}${it.current ? ' (these models)' : ''}`,
            ]),
          ]),
        ],
      }
    }),
)
