import { TenantryError } from '../../kernel/errors.ts'
import type { TenantDomain } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { domainLine, domainTable, recordLines } from '../domain-text.ts'
import { exitCodes } from '../exit-codes.ts'
import { coloured, shown } from '../report.ts'
import type { CommonOptions } from '../tools.ts'
import { parseWholeNumber } from '../words.ts'

/** `tenantry add-domain` */
export const addDomain = defineCommand(
  {
    usage: 'add-domain <id> <name>',
    summary: 'Add a domain to a tenant, and print the record that proves it',
    examples: { 'add-domain acme shop.acme.example': 'reserved for acme, routed to it once verified' },
  },
  (command) => command,
  (tools, [id, domain]) =>
    tools.withTenantry('change', async (tenantry) => {
      const { actor, signal } = tools
      const result = await tenantry.domains.add(String(id), String(domain), { actor, signal })
      return { result, lines: [domainLine(result.outcome, result.domain), ...recordLines(result.domain)] }
    }),
)

interface VerifyWords extends CommonOptions {
  readonly proven?: boolean
}

/** `tenantry verify-domain` */
export const verifyDomain = defineCommand<VerifyWords>(
  {
    usage: 'verify-domain <id> <name>',
    summary: 'Route a domain to its tenant, once its record is in the DNS',
    examples: {
      'verify-domain acme shop.acme.example': 'looks for the record in its DNS',
      'verify-domain acme shop.acme.example --proven': 'it was verified by other means',
    },
  },
  (command) => command.option('--proven', 'skip the DNS look-up: the domain is known to be theirs'),
  (tools, [id, domain], { proven }) =>
    tools.withTenantry('change', async (tenantry) => {
      const { actor, signal } = tools
      const options = { actor, signal, ...(proven && { proof: 'given' as const }) }
      const verifying = tenantry.domains.verify(String(id), String(domain), options)
      const result = await tools.progress('looking for the record', () => verifying)
      const { outcome, domain: verified } = result
      const isMissing = outcome === 'not-proven'
      return {
        result,
        lines: [
          domainLine(outcome, verified),
          ...(isMissing ? ['This record is not in its DNS, or not yet:'] : []),
          ...recordLines(verified),
        ],
        exitCode: isMissing ? exitCodes.retryable : exitCodes.done,
      }
    }),
)

/** `tenantry remove-domain` */
export const removeDomain = defineCommand(
  {
    usage: 'remove-domain <id> <name>',
    summary: 'Remove a domain from a tenant',
    examples: { 'remove-domain acme shop.acme.example': 'no longer routed, and free for others' },
  },
  (command) => command,
  (tools, [id, domain]) =>
    tools.withTenantry('change', async (tenantry) => {
      const { actor, signal } = tools
      const result = await tenantry.domains.remove(String(id), String(domain), { actor, signal })
      return { result, lines: [`${coloured('bold', shown(String(domain)))}: ${result.outcome}`] }
    }),
)

interface ListWords extends CommonOptions {
  readonly find?: string
  readonly limit: number
  readonly after?: string
}

/** `tenantry domains` */
export const domains = defineCommand<ListWords>(
  {
    usage: 'domains [id]',
    summary: "List a tenant's domains, or find the tenant of one",
    examples: {
      'domains acme': 'in their order, each with the record that proves it',
      'domains --find shop.acme.example': 'of any tenant, verified or not',
    },
  },
  (command) =>
    command
      .option('--find <domain>', 'this domain, of any tenant')
      .option('--limit <number>', 'at most this number', parseWholeNumber, 100)
      .option('--after <domain>', 'only those after this one'),
  (tools, [id], { find, limit, after }) => {
    if ((id === undefined) === (find === undefined)) throw whichDomainsError()
    return tools.withTenantry('read', async (tenantry) => {
      const { signal } = tools
      const page = { limit, signal, ...(after !== undefined && { after }) }
      const found =
        find === undefined
          ? await tenantry.domains.list(String(id), page)
          : await only(tenantry.domains.get(find, { signal }))
      return { result: { domains: found }, lines: found.length > 0 ? domainTable(found) : ['No domains.'] }
    })
  },
)

async function only(finding: Promise<TenantDomain | undefined>): Promise<readonly TenantDomain[]> {
  const found = await finding
  return found === undefined ? [] : [found]
}

function whichDomainsError(): TenantryError {
  return new TenantryError('invalid-option', 'Which domains are meant?', {
    hint: "Give a tenant's id, or --find <domain>.",
  })
}
