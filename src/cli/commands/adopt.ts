import { defineCommand } from '../define-command.ts'
import { outcomeLine } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'
import { jsonObject } from '../words.ts'

interface Options extends CommonOptions {
  readonly database: string
  readonly server?: string
  readonly displayName?: string
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** `tenantry adopt` */
export const adopt = defineCommand<Options>(
  {
    usage: 'adopt <id>',
    summary: 'Create a tenant from an existing database',
    examples: {
      'adopt acme --database acme_production': 'it must match the models, and keeps its name',
    },
  },
  (command) =>
    command
      .requiredOption('--database <name>', 'the database to adopt')
      .option('--server <name>', "the server that it is on (default: the catalog's)")
      .option('--display-name <text>', 'a name for people')
      .option('--metadata <json>', "the service's own notes, as a JSON object", jsonObject),
  (tools, [id], { database, server, displayName, metadata }) =>
    tools.withTenantry('create', async (tenantry) => {
      const result = await tenantry.tenants.adopt(String(id), {
        database,
        actor: tools.actor,
        signal: tools.signal,
        ...(server !== undefined && { server }),
        ...(displayName !== undefined && { displayName }),
        ...(metadata !== undefined && { metadata }),
      })
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    }),
)
