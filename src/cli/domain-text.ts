import type { TenantDomain } from '../index.ts'
import { coloured, pairs, table } from './report.ts'
import { time } from './tenant-text.ts'

/** One line that says what came of a verb. */
export function domainLine(outcome: string, { domain, tenant, verified }: TenantDomain): string {
  const isSaid = outcome.endsWith('verified')
  const state = verified ? coloured('green', 'verified') : coloured('yellow', 'not verified')
  return [`${coloured('bold', domain)}: ${outcome}`, ...(isSaid ? [] : [state]), `of ${tenant}`].join(', ')
}

/** The record that is to be set, as a form for DNS asks for it; nothing where that is not needed any more. */
export function recordLines({ verified, record }: TenantDomain): string[] {
  return verified ? [] : pairs({ type: record.type, name: record.name, value: record.value })
}

/** Domains, one a line. */
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

/** A tenant's domains in a few words; undefined where it has none. */
export function domainWords(domains: readonly TenantDomain[] = []): string | undefined {
  if (domains.length === 0) return undefined
  const words = domains.map(({ domain, verified }) => (verified ? domain : `${domain} (not verified)`))
  return [...words.slice(0, mostShown), ...(words.length > mostShown ? ['and more'] : [])].join(', ')
}
