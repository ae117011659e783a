import { domainToASCII } from 'node:url'
import { TenantryError } from './errors.ts'
import { show } from './printable.ts'

declare const brand: unique symbol
/**
 * A domain in the form that browsers send: ASCII in lower case (punycode), at least two labels, without a dot at its
 * end.
 */
export type DomainName = string & { readonly [brand]: 'DomainName' }

/** The longest domain. 253 is DNS's limit (RFC 1035); the record that proves a domain has one more label before it. */
const mostBytes = 253 - '_tenantry.'.length
/** The longest input that is parsed: no spelling of a domain is longer. */
const mostCharacters = 1_000

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
/** A last label of digits would be the end of an IP address. */
const pattern = new RegExp(`^(?:${label}\\.)+(?!\\d+$)${label}$`)
/**
 * Characters of an address around or in a domain, such as a port or a path, which would be cut off or decoded on the
 * way.
 */
const otherAscii = /[^a-z0-9.\-\u0080-\u{10ffff}]/iu
/**
 * Invisible characters, and characters that turn the direction of text. A domain may have only the joiners that some
 * scripts need.
 */
const unseen = /(?![\u200c\u200d])[\p{Cc}\p{Cf}]/u

/**
 * Checks a domain, and returns it in the form in which it is stored and compared.
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

/**
 * Reads text that may be no domain, such as the host of a request, like {@link parseDomain}; undefined if it is none.
 */
export function readDomain(value: string): DomainName | undefined {
  if (typeof value !== 'string' || value.length > mostCharacters) return undefined
  if (otherAscii.test(value) || unseen.test(value) || !value.isWellFormed()) return undefined
  const ascii = domainToASCII(value).replace(/\.$/, '')
  return ascii.length <= mostBytes && pattern.test(ascii) ? (ascii as DomainName) : undefined
}
