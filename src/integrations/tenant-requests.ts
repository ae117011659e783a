import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { refuseUnknownOptions } from '../kernel/options.ts'
import { type ErrorResponse, errorResponse, type OnError } from './error-response.ts'
import { type LogFailure, logToConsole } from './failure-log.ts'
import { pathOf, type RequestLike } from './request-like.ts'
import { enterTenant, type EnteredTenant, type Entrance } from './request-tenant.ts'
import { resolveTenant } from './resolve-tenant.ts'
import type { DomainLookup, TenantSource } from './sources.ts'

/** Options of every integration. */
export interface RequestsOptions<Request> {
  /** Where a request says which tenant it is for. All that say something must say the same. */
  readonly tenantFrom: readonly TenantSource<Request>[]
  /** Requests that need no tenant, by their paths or by a function. They have none, even where they name one. */
  readonly exempt?: readonly string[] | ((request: Request) => boolean) | undefined
  /** Changes what is answered to an error of Tenantry's. */
  readonly onError?: OnError<Request> | undefined
  /**
   * Logs each error of Tenantry's that is answered with a status of 500 or above; false logs none. Default: the logger of
   * the framework, or `console.error` where it has none.
   */
  readonly log?: LogFailure<Request> | false | undefined
}

/** The names of {@link RequestsOptions}. */
const requestsOptions = ['tenantFrom', 'exempt', 'onError', 'log']

const firstFailure = 500

/** What requests are led to tenants by. */
export type RequestsTenantry<Handle> = Entrance<Handle> & DomainLookup

/** Leads requests to their tenants, whatever the framework. */
export class TenantRequests<Handle, Request extends object> {
  readonly #tenantry: RequestsTenantry<Handle>
  readonly #options: RequestsOptions<Request>
  readonly #log: LogFailure<Request> | false
  readonly #tenants = new WeakMap<WeakKey, TenantId>()

  /**
   * @param log the logger where the options name none: that of the framework
   * @throws `invalid-option`
   */
  constructor(
    tenantry: RequestsTenantry<Handle>,
    options: RequestsOptions<Request>,
    log: LogFailure<Request> = logToConsole,
  ) {
    checkOptions(tenantry, options)
    this.#tenantry = tenantry
    this.#options = options
    this.#log = options.log ?? log
  }

  /**
   * Enters the context of a request's tenant. Call `end` of what it gives when the request is over.
   *
   * @param signal to be aborted when the client goes away
   * @returns undefined for a request that is exempt
   * @throws `tenant-unresolved`, `tenant-mismatch`, `tenant-unknown`, `tenant-not-active`, `aborted`
   */
  async enter(request: Request, like: RequestLike, signal: AbortSignal): Promise<EnteredTenant<Handle> | undefined> {
    if (this.#isExempt(request, like)) return undefined
    const domains = this.#tenantry
    const id = await resolveTenant(this.#options.tenantFrom, { request, like, domains, signal })
    this.#tenants.set(request, id)
    return enterTenant(this.#tenantry, id, signal)
  }

  /**
   * Returns the answer to an error, and logs the error where the status is 500 or above. Undefined leaves the error to the
   * framework's own error handling.
   */
  answer(error: unknown, request: Request): ErrorResponse | undefined {
    if (!(error instanceof TenantryError)) return undefined
    const own = this.#options.onError?.(error, request)
    if (own === 'framework') return undefined
    const answer = own ?? errorResponse(error)
    if (answer !== undefined && answer.status >= firstFailure) this.#tell(error, answer, request)
    return answer
  }

  #tell(err: TenantryError, { status }: ErrorResponse, request: Request): void {
    if (this.#log === false) return
    const { code, hint, tenant = this.#tenants.get(request) } = err
    const failure = { status, code, tenant, hint, err }
    try {
      this.#log(failure, request)
    } catch {
      // A logger that fails must not change the answer, and what it was to log must not be lost.
      logToConsole(failure)
    }
  }

  #isExempt(request: Request, like: RequestLike): boolean {
    const { exempt = [] } = this.#options
    return typeof exempt === 'function' ? exempt(request) : exempt.includes(pathOf(like.url))
  }
}

function checkOptions(tenantry: RequestsTenantry<unknown>, options: RequestsOptions<never>): void {
  refuseUnknownOptions('The integration', options, requestsOptions)
  if (typeof tenantry?.run !== 'function') {
    throw new TenantryError('invalid-option', 'The integration needs a Tenantry.', {
      hint: 'Give it what openTenantry() gave.',
    })
  }
  const { tenantFrom } = options
  if (isFilledList(tenantFrom) && tenantFrom.every((source) => typeof source?.find === 'function')) return
  throw new TenantryError('invalid-option', 'tenantFrom must be a list of at least one source.', {
    hint: "Say where a request names its tenant: tenantFrom: [subdomain({ base: 'app.example.com' })].",
  })
}

function isFilledList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0
}
