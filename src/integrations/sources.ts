import * as v from 'valibot'
import { TenantryError } from '../kernel/errors.ts'
import { checked, functionOption, optionsOf, readOptions, texts, trueOrFalse } from '../kernel/options.ts'
import { show } from '../kernel/printable.ts'
import type { CapturedTenant, Domains } from '../api.ts'
import { hostName, pathOf, type RequestLike } from './request-like.ts'

/** A directory of domains: `tenantry.domains` is one. */
export type DomainLookup = Pick<Domains, 'tenantOf'>

/** The input of a source. */
export interface SourceInput<Request> {
  readonly like: RequestLike
  /** The framework's own request. */
  readonly request: Request
  readonly domains: DomainLookup
  readonly signal: AbortSignal
}

/**
 * The tenant that a source names: the id as it came, not checked, or a captured tenant; undefined if it names none. A
 * present but invalid value is returned as an empty id, so that no other source is trusted in its place.
 */
export type NamedTenant = string | CapturedTenant | undefined

/** A part of a request that names its tenant. Made by `subdomain`, `customDomain`, `path` and so on. */
export interface TenantSource<Request = unknown> {
  /** The name in messages: `subdomain`, `header x-tenant`. */
  readonly name: string
  /** True if it reads the host: of such sources, the first that names a tenant is used. */
  readonly readsHost: boolean
  /** True if a request is refused in which it names no tenant. */
  readonly required: boolean
  find(input: SourceInput<Request>): NamedTenant | Promise<NamedTenant>
}

/** A value that is present but names no possible tenant. */
const none = ''

/** Options of `subdomain`. */
export interface SubdomainOptions {
  /** The parent domain of the tenants' subdomains: with `app.example.com`, `acme.app.example.com` is that of acme. */
  readonly base: string
  /** Names below it that belong to no tenant. Default `['www']`. */
  readonly reserved?: readonly string[] | undefined
}

/** Reads the name right below a domain. A deeper one names no tenant. @throws `invalid-option` */
export function subdomain(options: SubdomainOptions): TenantSource {
  const { base, reserved = ['www'] } = readOptions('subdomain', subdomainSchema, options)
  const suffix = `.${base}`
  const find = ({ like }: SourceInput<unknown>): NamedTenant => {
    const name = hostName(like.host)
    if (!name?.endsWith(suffix)) return undefined
    const label = name.slice(0, -suffix.length)
    if (reserved.includes(label)) return undefined
    return label.includes('.') ? none : label
  }
  return { name: 'subdomain', readsHost: true, required: false, find }
}

const subdomainSchema = optionsOf<SubdomainOptions>(
  {
    base: v.pipe(
      checked<string>(
        (value) => typeof value === 'string' && hostName(value) === value.toLowerCase(),
        (value) => `a domain, not ${show(value)}`,
        "Write it without protocol and port: subdomain({ base: 'app.example.com' }).",
      ),
      v.toLowerCase(),
    ),
    reserved: texts('a list of names', "Write reserved: ['www', 'api'], in small letters."),
  },
  'base',
)

/** Reads a domain of the tenant's own, which must be verified in the catalog. */
export function customDomain(): TenantSource {
  const find = async ({ like, domains, signal }: SourceInput<unknown>): Promise<NamedTenant> => {
    const name = hostName(like.host)
    return name === undefined ? undefined : domains.tenantOf(name, { signal })
  }
  return { name: 'custom domain', readsHost: true, required: false, find }
}

/** Options of `path` and `pathWithoutTenant`. */
export interface PathOptions {
  /** The path before the tenant, such as `/t`. Default empty: the tenant comes first. */
  readonly prefix?: string | undefined
}

/**
 * Reads a part of the path: with the prefix `/t`, `/t/acme/users` is for acme. Nothing in it is decoded. @throws
 * `invalid-option`
 */
export function path(options: PathOptions = {}): TenantSource {
  const start = startOf('path', options)
  const find = ({ like }: SourceInput<unknown>): NamedTenant => {
    const whole = pathOf(like.url)
    return whole.startsWith(start) ? whole.slice(start.length).split('/', 1)[0] : undefined
  }
  return { name: 'path', readsHost: false, required: false, find }
}

/**
 * Returns a function that removes prefix and tenant from a request's target, for routes that are written without:
 * `/t/acme/users?page=2` becomes `/users?page=2`. A target without the prefix stays unchanged.
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
 * Reads a header. Any client can send it: use it only behind a proxy that sets it and removes the client's, or beside a
 * `claim` that has to name the same tenant.
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
  const find = ({ like }: SourceInput<unknown>): NamedTenant => {
    const value = (like.headers as RequestLike['headers'] | undefined)?.[key]
    return value === undefined || typeof value === 'string' ? value : none
  }
  return { name: `header ${key}`, readsHost: false, required: false, find }
}

/** Options of `claim`. */
export interface ClaimOptions {
  /** Lets other sources decide for a request without a claim. Default false: it is refused. */
  readonly optional?: boolean | undefined
}

/**
 * Reads the service's own knowledge of the caller, such as a claim in a token that it has verified. It must name the
 * same tenant as the other sources: so a token of one tenant is useless at another's host.
 *
 * @param read reads it from the framework's own request; undefined or null if there is none
 * @throws `invalid-option`
 */
export function claim<Request>(read: (request: Request) => unknown, options: ClaimOptions = {}): TenantSource<Request> {
  const { optional = false } = readOptions('claim', claimSchema, options)
  readOptions('The argument of claim', functionOption('Write claim((request) => request.user?.tenant).'), read)
  const find = async ({ request }: SourceInput<Request>): Promise<NamedTenant> => {
    const value = await read(request)
    if (value === undefined || value === null) return undefined
    return typeof value === 'string' ? value : none
  }
  return { name: 'claim', readsHost: false, required: !optional, find }
}

const claimSchema = optionsOf<ClaimOptions>({ optional: trueOrFalse })

const pathSchema = optionsOf<PathOptions>({
  prefix: checked<string>(
    (value) => value === '' || (typeof value === 'string' && /^(?:\/[^/?#%]+)+$/.test(value)),
    (value) => `the beginning of a path, not ${show(value)}`,
    "Write it with a slash before and none behind: path({ prefix: '/t' }).",
  ),
})

/** Returns the beginning of the path, up to the tenant. */
function startOf(call: string, options: PathOptions): string {
  const { prefix = '' } = readOptions(call, pathSchema, options)
  return `${prefix}/`
}
