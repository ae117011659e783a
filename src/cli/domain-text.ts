import type { TenantDomain } from '../index.ts'
import { coloured, pairs, table } from './report.ts'
import { time } from './tenant-text.ts'

/** Returns one line with the outcome of a verb. */
export function domainLine(outcome: string, { domain, tenant, verified }: TenantDomain): string {
  const hasState = outcome.endsWith('verified')
  const state = verified ? coloured('green', 'verified') : coloured('yellow', 'not verified')
  return [`${coloured('bold', domain)}: ${outcome}`, ...(hasState ? [] : [state]), `of ${tenant}`].join(', ')
}

/** Returns the DNS record to set, in the fields of a DNS form; empty if it is not needed any more. */
export function recordLines({ verified, record }: TenantDomain): string[] {
  return verified ? [] : pairs({ type: record.type, name: record.name, value: record.value })
}

/** Returns domains, one a line. */
export function domainTable(domains: readonly TenantDomain[]): string[] {
  return table([
    ['DOMAIN', 'TENANT', 'ADDED', 'VERIFIED', 'RECORD THAT PROVES IT'],
    ...domains.map(({ domain, tenant, addedAt, verifiedAt, record: { type, name, value } }) => [
      domain,
      tenant,
      time(addedAt),
      verifiedAt === undefined ? '-' : time(verifiedAt),
      `${type} ${name} ${value}`,
    ]),
  ])
}

const mostShown = 10

/** Returns a tenant's domains in a few words; undefined if it has none. */
export function domainWords(domains: readonly TenantDomain[] = []): string | undefined {
  if (domains.length === 0) return undefined
  const words = domains.map(({ domain, verified }) => (verified ? domain : `${domain} (not verified)`))
  return [...words.slice(0, mostShown), ...(words.length > mostShown ? ['and more'] : [])].join(', ')
}
