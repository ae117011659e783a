import dns from 'node:dns/promises'
import { type Cancellable, untilAborted } from '../kernel/abort.ts'
import type { DomainName } from '../kernel/domain-names.ts'
import { TenantryError } from '../kernel/errors.ts'

/** The record in a domain's DNS that proves its tenant. */
export interface DomainRecord {
  readonly type: 'TXT'
  readonly name: string
  readonly value: string
}

/**
 * Returns the record that a tenant has to set. It has a name of its own, since a domain that is a CNAME can have no
 * other record.
 */
export function recordOf(domain: DomainName, token: string): DomainRecord {
  return { type: 'TXT', name: `_tenantry.${domain}`, value: `tenantry-domain=${token}` }
}

/** The time for each DNS server, in milliseconds, and the number of attempts. */
const lookup = { timeout: 2_000, tries: 2 }
/** The errors for a missing name, or a name without a TXT record: nothing is proven then, and nothing has failed. */
const absent: readonly unknown[] = ['ENOTFOUND', 'ENODATA']

/**
 * True if the record exists, according to the DNS servers of this machine, or those of `dns.setServers()`.
 *
 * @throws `domain-lookup-failed`, `aborted`
 */
export async function isProven({ name, value }: DomainRecord, { signal }: Cancellable): Promise<boolean> {
  const resolver = new dns.Resolver(lookup)
  // Through the object: an import by name would keep the servers from before the process set its own.
  resolver.setServers(dns.getServers())
  try {
    const records = await untilAborted(resolver.resolveTxt(name), signal)
    return records.some((parts) => parts.join('') === value)
  } catch (error) {
    // Aborted by its signal.
    if (error instanceof TenantryError) throw error
    const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
    if (absent.includes(code)) return false
    throw new TenantryError('domain-lookup-failed', `The TXT record of ${name} could not be looked up.`, {
      cause: error,
      hint: `The DNS did not answer, or refused (${String(code)}). Try again later; a domain that was proven otherwise needs no look: { proof: 'given' }, or --proven.`,
    })
  } finally {
    resolver.cancel()
  }
}
