// The entry `tenantry/requests`: what all integrations share, and what other frameworks are led to tenants by.

/** Extended by a service to say, once, what handle its requests have: `interface Registered { handle: EntityManager }`. */
export interface Registered {}

/** The handle that a service has said its requests have. */
export type RegisteredHandle = Registered extends { readonly handle: infer Handle } ? Handle : unknown

export { type ErrorResponse, errorResponse, type OnError } from './error-response.ts'
export type { AnsweredFailure, LogFailure } from './failure-log.ts'
export { enterUntilSent, nodeRequest } from './node-requests.ts'
export type { RequestLike } from './request-like.ts'
export type { EnteredTenant, RequestTenant } from './request-tenant.ts'
export {
  type Asked,
  claim,
  type ClaimOptions,
  customDomain,
  type DomainLookup,
  header,
  path,
  type PathOptions,
  pathWithoutTenant,
  type Said,
  subdomain,
  type SubdomainOptions,
  type TenantSource,
} from './sources.ts'
export { type RequestsOptions, type RequestsTenantry, TenantRequests } from './tenant-requests.ts'
