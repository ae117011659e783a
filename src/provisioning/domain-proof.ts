import dns from 'node:dns/promises'
import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import type { DomainName } from '../kernel/domain-names.ts'
import { TenantryError } from '../kernel/errors.ts'

/** The record in a domain's DNS that proves whose the domain is. */
export interface DomainRecord {
  readonly type: 'TXT'
  readonly name: string
  readonly value: string
}

/** The record that a tenant is to set. It has a name of its own, since a domain that is a CNAME can have no other record. */
export function recordOf(domain: DomainName, token: string): DomainRecord {
  return { type: 'TXT', name: `_tenantry.${domain}`, value: `tenantry-domain=${token}` }
}

/** How long each of the DNS servers may take, in milliseconds, and how often each is asked. */
const lookup = { timeout: 2_000, tries: 2 }
/** No such name, or no TXT record of it: then nothing is proven, and nothing is wrong. */
const absent: readonly unknown[] = ['ENOTFOUND', 'ENODATA']

/**
 * Whether the record is there, as the DNS servers of this machine see it, or those of `dns.setServers()`.
 *
 * @throws `domain-lookup-failed`, `aborted`
 */
export async function isProven({ name, value }: DomainRecord, { signal }: Cancellable): Promise<boolean> {
  const resolver = new dns.Resolver(lookup)
  // By the object: what is imported by its name would be that of before the process set servers of its own.
  resolver.setServers(dns.getServers())
  try {
    const records = await untilAborted(resolver.resolveTxt(name), signal)
    return records.some((parts) => parts.join('') === value)
  } catch (error) {
    // Given up by its signal.
    if (error instanceof TenantryError) throw error
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
    if (absent.includes(code)) return false
    throw new TenantryError('domain-lookup-failed', `The TXT record of ${name} could not be looked up.`, {
      cause: error,
      hint: `The DNS did not answer, or refused (${String(code)}). Try again later; a domain that was proven otherwise needs no look: { proof: 'given' }.`,
    })
  } finally {
    resolver.cancel()
  }
}
