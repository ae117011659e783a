import { type ErrorCode, TenantryError } from '../kernel/errors.ts'

/** What is answered in place of a route's own response. */
export interface ErrorResponse {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Sent as JSON. */
  readonly body: unknown
}

/**
 * Changes what is answered to an error of Tenantry's. Undefined leaves it as it is; `'framework'` leaves the error to the
 * framework's own error handling.
 */
export type OnError<Request> = (error: TenantryError, request: Request) => ErrorResponse | 'framework' | undefined

const seconds = { saturated: 1, soon: 5 } as const

const unknown = answer(404, 'tenant-unknown', 'There is no such tenant.')
const unavailable = answer(503, 'unavailable', 'Try again later.', seconds.soon)

/** By code. What is not here is a mistake of the service's, and so the framework's. */
const byCode: Readonly<Partial<Record<ErrorCode, ErrorResponse>>> = {
  'tenant-unknown': unknown,
  'tenant-unresolved': unknown,
  'tenant-mismatch': answer(403, 'tenant-mismatch', 'The request is not allowed for this tenant.'),
  'tenant-behind': answer(503, 'tenant-behind', 'The tenant is not up to date yet.', seconds.soon),
  'pool-timeout': answer(503, 'busy', 'Too much is going on. Try again later.', seconds.saturated),
  'too-many-connections': answer(503, 'busy', 'Too much is going on. Try again later.', seconds.saturated),
  'lock-timeout': unavailable,
  timeout: unavailable,
  'server-unreachable': unavailable,
  'unknown-host': unavailable,
  'connection-lost': unavailable,
  closed: unavailable,
}

/** By the state of a tenant that is not in service. One that was offboarded is gone, for who asks. */
const byState = {
  onboarding: answer(503, 'tenant-not-ready', 'The tenant is being made.', seconds.soon),
  suspended: answer(403, 'tenant-suspended', 'The tenant is out of service.'),
  offboarded: unknown,
  purging: unknown,
} as const

/**
 * What to answer to an error: a status, and a few words that tell nothing of the service's inside.
 *
 * @returns undefined for what is not Tenantry's, and for mistakes of the service's own
 */
export function errorResponse(error: unknown): ErrorResponse | undefined {
  if (!(error instanceof TenantryError)) return undefined
  if (error.code !== 'tenant-not-active') return byCode[error.code]
  return error.tenantState && byState[error.tenantState]
}

function answer(status: number, error: string, message: string, retryAfter?: number): ErrorResponse {
  // A 404 may be cached, and the tenant be there a moment later.
  const headers = { 'cache-control': 'no-store', ...(retryAfter && { 'retry-after': String(retryAfter) }) }
  return { status, headers, body: { error, message } }
}
