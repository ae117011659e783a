import type { Status } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { pairs, shown, table } from '../report.ts'
import { versionText } from '../version-text.ts'

/** `tenantry status` */
export const status = defineCommand(
  {
    usage: 'status',
    summary: 'Count tenants, templates and spares',
    examples: { status: 'the whole installation', 'status --json': 'for a program' },
  },
  (command) => command,
  (tools) =>
    tools.withTenantry('read', async (tenantry) => {
      const result = await tenantry.status({ signal: tools.signal })
      const { installation, catalog, tenants, servers, versions, templates, spares } = result
      return {
        result,
        lines: [
          ...pairs({
            installation,
            catalog: `${catalog.database} on ${shown(catalog.server)}, migration ${catalog.migration}`,
            roles: rolesText(result),
            desired: result.desired === undefined ? 'no version yet' : `version ${versionText(result.desired)}`,
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
              `${it.fingerprint.slice(0, 12)}${it.current ? ' (these models)' : ''}${it.behind ? ' (behind)' : ''}`,
            ]),
          ]),
          '',
          ...table([['VERSION', 'SERVER', 'TEMPLATE', 'SPARES READY', 'FILLING'], ...sparePools(templates, spares)]),
        ],
      }
    }),
)

function rolesText({ roles, sharedTenants }: Status): string {
  const sharing = `${sharedTenants} ${sharedTenants === 1 ? 'tenant shares' : 'tenants share'} that of the connection`
  if (roles === 'separate') return sharedTenants === 0 ? 'one for each tenant' : `one for each tenant, but ${sharing}`
  return 'shared: all tenants are reached as the role of the connection'
}

/** Returns templates and spares, a line for each version on each server. */
function sparePools(templates: Status['templates'], spares: Status['spares']): string[][] {
  const all = [...templates, ...spares].map(({ version, server }) => ({ version, server }))
  const distinct = new Map(all.map((sparePool) => [`${sparePool.version} ${sparePool.server}`, sparePool]))
  return [...distinct.values()].map(({ version, server }) => {
    const isHere = (it: { readonly version: number; readonly server: string }) =>
      it.version === version && it.server === server
    const states = templates.filter(isHere).map(({ state }) => state)
    const own = spares.find(isHere)
    const template = states.length > 0 ? states.join(', ') : '-'
    return [String(version), shown(server), template, String(own?.ready ?? 0), String(own?.filling ?? 0)]
  })
}
