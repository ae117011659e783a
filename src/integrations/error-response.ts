import { type ErrorCode, TenantryError } from '../kernel/errors.ts'

/** The response to a request in place of its route's own. */
export interface ErrorResponse {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Sent as JSON. */
  readonly body: unknown
}

/**
 * Changes the response to an error of Tenantry's. Undefined keeps the response; `'framework'` leaves the error to the
 * framework's own error handling.
 */
export type OnError<Request> = (error: TenantryError, request: Request) => ErrorResponse | 'framework' | undefined

const seconds = { saturated: 1, soon: 5 } as const

const unknown = responseFor(404, 'tenant-unknown', 'There is no such tenant.')
const unavailable = responseFor(503, 'unavailable', 'Try again later.', seconds.soon)

/** Responses by code. Any other code is a mistake in the service, and is left to the framework. */
const byCode: Readonly<Partial<Record<ErrorCode, ErrorResponse>>> = {
  'tenant-unknown': unknown,
  'tenant-unresolved': unknown,
  'tenant-mismatch': responseFor(403, 'tenant-mismatch', 'The request is not allowed for this tenant.'),
  'tenant-behind': responseFor(503, 'tenant-behind', 'The tenant is not up to date yet.', seconds.soon),
  'pool-timeout': responseFor(503, 'busy', 'Too much is going on. Try again later.', seconds.saturated),
  'too-many-connections': responseFor(503, 'busy', 'Too much is going on. Try again later.', seconds.saturated),
  'lock-timeout': unavailable,
  timeout: unavailable,
  'server-unreachable': unavailable,
  'unknown-host': unavailable,
  'connection-lost': unavailable,
  closed: unavailable,
}

/** Responses by the state of a tenant that is not in service. To clients, an offboarded tenant no longer exists. */
const byState = {
  onboarding: responseFor(503, 'tenant-not-ready', 'The tenant is being made.', seconds.soon),
  suspended: responseFor(403, 'tenant-suspended', 'The tenant is out of service.'),
  offboarded: unknown,
  purging: unknown,
} as const

/**
 * Returns the response to an error: a status, and a few words that reveal nothing of the service's inside.
 *
 * @returns undefined for an error that is not Tenantry's, and for mistakes in the service itself
 */
export function errorResponse(error: unknown): ErrorResponse | undefined {
  if (!(error instanceof TenantryError)) return undefined
  if (error.code !== 'tenant-not-active') return byCode[error.code]
  return error.tenantState && byState[error.tenantState]
}

function responseFor(status: number, error: string, message: string, retryAfter?: number): ErrorResponse {
  // A 404 may be cached, and the tenant may exist a moment later.
  const headers = { 'cache-control': 'no-store', ...(retryAfter && { 'retry-after': String(retryAfter) }) }
  return { status, headers, body: { error, message } }
}
