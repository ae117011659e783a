import { TenantryError } from '../../kernel/errors.ts'
import type { UpdateOptions } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { outcomeLine } from '../tenant-text.ts'
import type { CommonOptions } from '../tools.ts'
import { jsonObject } from '../words.ts'

interface Options extends CommonOptions {
  /** `false` for --no-display-name. */
  readonly displayName?: string | false
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** `tenantry update` */
export const update = defineCommand<Options>(
  {
    usage: 'update <id>',
    summary: "Change a tenant's display name or metadata",
    examples: {
      "update acme --display-name 'Acme AG'": 'another name for people',
      'update acme --metadata \'{"plan":"pro"}\'': 'sets one key and leaves the others',
      'update acme --metadata \'{"plan":null}\'': 'removes a key',
    },
  },
  (command) =>
    command
      .option('--display-name <text>', 'a name for people')
      .option('--no-display-name', 'remove the display name')
      .option('--metadata <json>', 'a JSON merge patch (RFC 7396)', jsonObject),
  (tools, [id], { displayName, metadata }) => {
    if (displayName === undefined && metadata === undefined) throw nothingError()
    const options: UpdateOptions = {
      actor: tools.actor,
      signal: tools.signal,
      ...(displayName !== undefined && { displayName: displayName === false ? null : displayName }),
      ...(metadata !== undefined && { metadata }),
    }
    return tools.withTenantry('change', async (tenantry) => {
      const result = await tenantry.tenants.update(String(id), options)
      return { result, lines: [outcomeLine(result.outcome, result.tenant)] }
    })
  },
)

function nothingError(): TenantryError {
  return new TenantryError('invalid-option', 'There is nothing to update.', {
    hint: 'Give --display-name, --no-display-name or --metadata.',
  })
}
