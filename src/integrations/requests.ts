// The entry `tenantry/requests`: the common part of all integrations, for use with other frameworks.

/**
 * Extended by a service to declare, once, the type of its requests' handles: `interface Registered { handle:
 * EntityManager }`.
 */
export interface Registered {}

/** The declared type of the requests' handles. */
export type RegisteredHandle = Registered extends { readonly handle: infer Handle } ? Handle : unknown

export { type ErrorResponse, errorResponse, type OnError } from './error-response.ts'
export type { AnsweredFailure, LogFailure } from './failure-log.ts'
export { enterUntilSent, nodeRequest } from './node-requests.ts'
export type { RequestLike } from './request-like.ts'
export type { EnteredTenant, RequestTenant } from './request-tenant.ts'
export {
  type SourceInput,
  claim,
  type ClaimOptions,
  customDomain,
  type DomainLookup,
  header,
  path,
  type PathOptions,
  pathWithoutTenant,
  type NamedTenant,
  subdomain,
  type SubdomainOptions,
  type TenantSource,
} from './sources.ts'
export { type RequestsOptions, type RequestsTenantry, TenantRequests } from './tenant-requests.ts'
