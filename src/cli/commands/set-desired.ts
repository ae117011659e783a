import { defineCommand } from '../define-command.ts'
import { versionFrom, versionText } from '../version-text.ts'

/** `tenantry set-desired` */
export const setDesired = defineCommand(
  {
    usage: 'set-desired <version>',
    summary: 'Set the version of the models that all tenants are to have',
    examples: { 'set-desired 3': 'of those that status shows' },
  },
  (command) => command,
  (tools, [version]) =>
    tools.withTenantry('change', async (tenantry) => {
      const result = await tenantry.rollouts.setDesired(versionFrom(String(version)), { signal: tools.signal })
      return { result, lines: [`${result.outcome}: version ${versionText(result.version)}`] }
    }),
)
