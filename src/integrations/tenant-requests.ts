import { TenantryError } from '../kernel/errors.ts'
import { refuseUnknownOptions } from '../kernel/options.ts'
import { type ErrorResponse, errorResponse, type OnError } from './error-response.ts'
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
}

/** The names of {@link RequestsOptions}. */
const requestsOptions = ['tenantFrom', 'exempt', 'onError']

/** What requests are led to tenants by. */
export type RequestsTenantry<Handle> = Entrance<Handle> & DomainLookup

/** Leads requests to their tenants, whatever the framework. */
export class TenantRequests<Handle, Request> {
  readonly #tenantry: RequestsTenantry<Handle>
  readonly #options: RequestsOptions<Request>

  /** @throws `invalid-option` */
  constructor(tenantry: RequestsTenantry<Handle>, options: RequestsOptions<Request>) {
    checkOptions(tenantry, options)
    this.#tenantry = tenantry
    this.#options = options
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
    const tenant = await resolveTenant(this.#options.tenantFrom, { request, like, domains, signal })
    return enterTenant(this.#tenantry, tenant, signal)
  }

  /** What to answer to an error; undefined for what the framework's own error handling is to have. */
  answer(error: unknown, request: Request): ErrorResponse | undefined {
    const own = error instanceof TenantryError ? this.#options.onError?.(error, request) : undefined
    if (own === 'framework') return undefined
    return own ?? errorResponse(error)
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
