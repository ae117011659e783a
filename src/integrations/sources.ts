import { TenantryError } from '../kernel/errors.ts'
import { type Checks, functionOption, invalidOption, list, readOptions, trueOrFalse } from '../kernel/options.ts'
import { show } from '../kernel/printable.ts'
import type { CapturedTenant, Tenantry } from '../api.ts'
import { hostName, pathOf, type RequestLike } from './request-like.ts'

/** What knows whose a domain is: a Tenantry does. */
export type DomainLookup = Pick<Tenantry<unknown>, 'tenantOfDomain'>

/** What a source is asked about. */
export interface Asked<Request> {
  readonly like: RequestLike
  /** The framework's own. */
  readonly request: Request
  readonly domains: DomainLookup
  readonly signal: AbortSignal
}

/**
 * What a source says: the id that is asked for, as it came and not checked, or a tenant that was captured; undefined where it
 * says nothing. What is there and cannot be an id is said to be no tenant, so that no other source is believed in its place.
 */
export type Said = string | CapturedTenant | undefined

/** One place in a request that says which tenant it is for. Made by `subdomain`, `customDomain`, `path` and so on. */
export interface TenantSource<Request = unknown> {
  /** For messages: `subdomain`, `header x-tenant`. */
  readonly name: string
  /** Whether it looks at the host: of those, the first that says something is believed. */
  readonly readsHost: boolean
  /** Whether a request in which it says nothing is refused. */
  readonly required: boolean
  find(asked: Asked<Request>): Said | Promise<Said>
}

/** No id: what is there and means no tenant that could be. */
const none = ''

/** Options of `subdomain`. */
export interface SubdomainOptions {
  /** The domain that tenants' are below: with `app.example.com`, `acme.app.example.com` is that of acme. */
  readonly base: string
  /** Names below it that are no tenant's. Default `['www']`. */
  readonly reserved?: readonly string[] | undefined
}

/** The name right below a domain. A deeper one is no tenant. @throws `invalid-option` */
export function subdomain(options: SubdomainOptions): TenantSource {
  const { base, reserved = ['www'] } = readOptions('subdomain', options, subdomainChecks)
  // Not given, it has not been checked.
  const suffix = `.${domain('base', base)}`
  const find = ({ like }: Asked<unknown>): Said => {
    const name = hostName(like.host)
    if (!name?.endsWith(suffix)) return undefined
    const label = name.slice(0, -suffix.length)
    if (reserved.includes(label)) return undefined
    return label.includes('.') ? none : label
  }
  return { name: 'subdomain', readsHost: true, required: false, find }
}

const subdomainChecks: Checks<SubdomainOptions> = {
  base: domain,
  reserved: (option, value) => {
    const hint = "Write reserved: ['www', 'api'], in small letters."
    const names = list(option, value, hint)
    if (names.every((name) => typeof name === 'string')) return names
    throw invalidOption(option, 'a list of names', hint)
  },
}

function domain(option: string, value: unknown): string {
  const known = typeof value === 'string' ? hostName(value) : undefined
  if (typeof value === 'string' && known === value.toLowerCase()) return known
  const hint = "Write it without protocol and port: subdomain({ base: 'app.example.com' })."
  throw invalidOption(option, `a domain, not ${show(value)}`, hint)
}

/** A domain of the tenant's own, which the catalog knows and which was verified. */
export function customDomain(): TenantSource {
  const find = async ({ like, domains, signal }: Asked<unknown>): Promise<Said> => {
    const name = hostName(like.host)
    return name === undefined ? undefined : domains.tenantOfDomain(name, { signal })
  }
  return { name: 'custom domain', readsHost: true, required: false, find }
}

/** Options of `path` and `pathWithoutTenant`. */
export interface PathOptions {
  /** What stands before the tenant, such as `/t`. Default nothing: the tenant comes first. */
  readonly prefix?: string | undefined
}

/** A part of the path: with the prefix `/t`, `/t/acme/users` is for acme. Nothing in it is decoded. @throws `invalid-option` */
export function path(options: PathOptions = {}): TenantSource {
  const start = startOf('path', options)
  const find = ({ like }: Asked<unknown>): Said => {
    const whole = pathOf(like.url)
    return whole.startsWith(start) ? whole.slice(start.length).split('/', 1)[0] : undefined
  }
  return { name: 'path', readsHost: false, required: false, find }
}

/**
 * Makes what takes prefix and tenant out of a request's target, for routes that are written without: `/t/acme/users?page=2`
 * becomes `/users?page=2`. What does not begin with the prefix stays as it is.
 *
 * @throws `invalid-option`
 */
export function pathWithoutTenant(options: PathOptions = {}): (url: string) => string {
  const start = startOf('pathWithoutTenant', options)
  return (url) => {
    const whole = pathOf(url)
    if (!whole.startsWith(start)) return url
    const end = whole.indexOf('/', start.length)
    const rest = end < 0 ? '' : whole.slice(end)
    // Two slashes at the beginning would be read as a host.
    return `${rest.replace(/^\/*/, '/')}${url.slice(whole.length)}`
  }
}

/**
 * A header. Whoever sends the request says it: only for services behind something that sets it and lets none through, or
 * beside a `claim` that has to say the same.
 *
 * @throws `invalid-option`
 */
export function header(name: string): TenantSource {
  if (typeof name !== 'string' || !/^[a-z0-9-]+$/i.test(name)) {
    throw new TenantryError('invalid-option', `${show(name)} cannot be the name of a header.`, {
      hint: "Write header('x-tenant').",
    })
  }
  const key = name.toLowerCase()
  const find = ({ like }: Asked<unknown>): Said => {
    const value = (like.headers as RequestLike['headers'] | undefined)?.[key]
    return value === undefined || typeof value === 'string' ? value : none
  }
  return { name: `header ${key}`, readsHost: false, required: false, find }
}

/** Options of `claim`. */
export interface ClaimOptions {
  /** Whether a request without it may go by what other sources say. Default false: then it is refused. */
  readonly optional?: boolean | undefined
}

/**
 * What the service knows of who asks, such as a claim in a token that it has verified. It must say the same as the other
 * sources: so a token of one tenant is of no use at another's host.
 *
 * @param read gives it from the framework's own request; undefined or null where there is none
 * @throws `invalid-option`
 */
export function claim<Request>(read: (request: Request) => unknown, options: ClaimOptions = {}): TenantSource<Request> {
  const { optional = false } = readOptions('claim', options, claimChecks)
  functionOption('The argument of claim', read, 'Write claim((request) => request.user?.tenant).')
  const find = async ({ request }: Asked<Request>): Promise<Said> => {
    const value = await read(request)
    if (value === undefined || value === null) return undefined
    return typeof value === 'string' ? value : none
  }
  return { name: 'claim', readsHost: false, required: !optional, find }
}

const claimChecks: Checks<ClaimOptions> = { optional: trueOrFalse }

const pathChecks: Checks<PathOptions> = {
  prefix: (option, value) => {
    if (value === '' || (typeof value === 'string' && /^(?:\/[^/?#%]+)+$/.test(value))) return value
    const hint = "Write it with a slash before and none behind: path({ prefix: '/t' })."
    throw invalidOption(option, `the beginning of a path, not ${show(value)}`, hint)
  },
}

/** What the path begins with, up to the tenant. */
function startOf(call: string, options: PathOptions): string {
  const { prefix = '' } = readOptions(call, options, pathChecks)
  return `${prefix}/`
}
