import { domainToASCII } from 'node:url'
import { TenantryError } from './errors.ts'
import { show } from './printable.ts'

declare const brand: unique symbol
/** A domain as browsers ask for it: ASCII in lower case (punycode), at least two labels, without a dot at its end. */
export type DomainName = string & { readonly [brand]: 'DomainName' }

/** 253 is DNS's limit (RFC 1035); the record by which a domain is proven has a label more before it. */
const mostBytes = 253 - '_tenantry.'.length
/** Nothing longer is looked at: no spelling of a domain is. */
const mostCharacters = 1_000

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
/** A last label of digits would be the end of an IP address. */
const pattern = new RegExp(`^(?:${label}\\.)+(?!\\d+$)${label}$`)
/** What an address has around or in a domain, such as a port or a path, would be cut off or decoded on the way. */
const otherAscii = /[^a-z0-9.\-\u0080-\u{10ffff}]/iu
/** What is not seen, or turns the direction of what follows. Only the joiners that some scripts need may be in a domain. */
const unseen = /(?![\u200c\u200d])[\p{Cc}\p{Cf}]/u

/**
 * Checks a domain, and gives it the form in which it is kept and compared.
 *
 * @throws `invalid-domain`
 */
export function parseDomain(value: string): DomainName {
  const domain = readDomain(value)
  if (domain !== undefined) return domain
  throw new TenantryError('invalid-domain', `${show(value)} cannot be a tenant's domain.`, {
    hint: `Give a name such as shop.example.com: two labels or more, of at most 63 letters, digits and "-" each and ${mostBytes} in all. No port, no path, no wildcard, no IP address.`,
  })
}

/** The same for text that need not be one, such as the host of a request; undefined where it is none. */
export function readDomain(value: string): DomainName | undefined {
  if (typeof value !== 'string' || value.length > mostCharacters) return undefined
  if (otherAscii.test(value) || unseen.test(value) || !value.isWellFormed()) return undefined
  const ascii = domainToASCII(value).replace(/\.$/, '')
  return ascii.length <= mostBytes && pattern.test(ascii) ? (ascii as DomainName) : undefined
}
