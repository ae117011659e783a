import { defineCommand } from '../define-command.ts'
import { checkTenants } from './check.ts'

/** `tenantry drift` */
export const drift = defineCommand(
  {
    usage: 'drift [id...]',
    summary: "Compare tenants' databases with their own versions; exit with 1 on a difference",
    examples: { drift: 'those of all tenants in service, or suspended', 'drift acme': 'that of one tenant' },
  },
  (command) => command,
  (tools, [ids]) => checkTenants(tools, ids as readonly string[], { exact: true, against: 'version' }),
)
