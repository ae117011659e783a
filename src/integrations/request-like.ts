/** What is looked at of a request, whatever the framework. */
export interface RequestLike {
  /** The host that the request is for, as the framework tells it: it knows which proxies are trusted. */
  readonly host: string | undefined
  /** The target of the request as it came, before anything was rewritten: `/t/acme/users?page=2`. */
  readonly url: string
  /** By names in small letters. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** The longest name that DNS has. */
const longestName = 253
// Not folded before it is compared: there are letters outside of ASCII that fold to one inside.
const labelPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i

/**
 * The name in a Host header: in small letters, without port and without the dot at the end. Undefined for what is none,
 * such as an IPv6 address, a name with a user before it, or one with anything percent-encoded.
 */
export function hostName(host: string | undefined): string | undefined {
  const name = typeof host === 'string' ? host.replace(/:\d{0,5}$/, '').replace(/\.$/, '') : undefined
  if (name === undefined || name.length > longestName) return undefined
  return name.split('.').every((label) => labelPattern.test(label)) ? name.toLowerCase() : undefined
}

/** The path of a request's target, not decoded. */
export function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '')
}
