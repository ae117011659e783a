/** The parts of a request that sources read, independent of the framework. */
export interface RequestLike {
  /** The host of the request according to the framework, which knows the trusted proxies. */
  readonly host: string | undefined
  /** The original target of the request, before any rewriting: `/t/acme/users?page=2`. */
  readonly url: string
  /** Headers by their names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** The longest name in DNS. */
const longestName = 253
// Not folded before the comparison: there are letters outside of ASCII that fold to one inside.
const labelPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

/**
 * Returns the name in a Host header: in lower case, without port and without the dot at the end. Undefined for anything
 * else, such as an IPv6 address, a name with a user before it, or one with percent-encoding.
 */
export function hostName(host: string | undefined): string | undefined {
  const name = typeof host === 'string' ? host.replace(/:\d{0,5}$/, '').replace(/\.$/, '') : undefined
  if (name === undefined || name.length > longestName) return undefined
  return name.split('.').every((label) => labelPattern.test(label)) ? name.toLowerCase() : undefined
}

/** Returns the path of a request's target, not decoded. */
export function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '')
}
