import * as v from 'valibot'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import {
  abortSignal,
  checked,
  functionOption,
  hasMethods,
  must,
  optionsOf,
  readable,
  readOptions,
  type Schemas,
  texts,
} from '../kernel/options.ts'
import { type ErrorResponse, errorResponse, type OnError } from './error-response.ts'
import { type LogFailure, logToConsole } from './failure-log.ts'
import { pathOf, type RequestLike } from './request-like.ts'
import { enterTenant, type EnteredTenant, type Entrance } from './request-tenant.ts'
import { resolveTenant } from './resolve-tenant.ts'
import type { DomainLookup, TenantSource } from './sources.ts'

/** Options of every integration. */
export interface RequestsOptions<Request> {
  /** The sources of a request's tenant. All that name one must name the same. */
  readonly tenantFrom: readonly TenantSource<Request>[]
  /** Requests that need no tenant, by their paths or by a function. They have none, even if they name one. */
  readonly exempt?: readonly string[] | ((request: Request) => boolean) | undefined
  /** Changes the response to an error of Tenantry's. */
  readonly onError?: OnError<Request> | undefined
  /**
   * Logs each error of Tenantry's that is answered with a status of 500 or above; false logs none. Default: the logger
   * of the framework, or `console.error` if it has none.
   */
  readonly log?: LogFailure<Request> | false | undefined
}

const firstFailure = 500

/** The methods of a Tenantry that route requests. */
export type RequestsTenantry<Handle> = Entrance<Handle> & { readonly domains: DomainLookup }

/** Routes requests to their tenants, independent of the framework. */
export class TenantRequests<Handle, Request extends object> {
  readonly #tenantry: RequestsTenantry<Handle>
  readonly #options: RequestsOptions<Request>
  readonly #log: LogFailure<Request> | false
  readonly #tenants = new WeakMap<WeakKey, TenantId>()

  /**
   * @param log the default logger: that of the framework
   * @throws `invalid-option`
   */
  constructor(
    tenantry: RequestsTenantry<Handle>,
    options: RequestsOptions<Request>,
    log: LogFailure<Request> = logToConsole,
  ) {
    this.#tenantry = readOptions('tenantry', tenantrySchema, tenantry) as RequestsTenantry<Handle>
    const schema = optionsOf(requestsSchemas<Request>(), 'tenantFrom')
    this.#options = readOptions('The integration', schema, options)
    readOptions('log', functionOption(), log)
    this.#log = this.#options.log ?? log
  }

  /**
   * Enters the context of a request's tenant. Call `end` of the result when the request is over.
   *
   * @param signal aborted when the client disconnects
   * @returns undefined for a request that is exempt
   * @throws `tenant-unresolved`, `tenant-mismatch`, `tenant-unknown`, `tenant-not-active`, `aborted`
   */
  async enter(request: Request, like: RequestLike, signal: AbortSignal): Promise<EnteredTenant<Handle> | undefined> {
    requireRequest(request, like)
    readOptions('signal', abortSignal, signal)
    if (this.#isExempt(request, like)) return undefined
    const { domains } = this.#tenantry
    const tenant = await resolveTenant(this.#options.tenantFrom, { request, like, domains, signal })
    this.#tenants.set(request, typeof tenant === 'string' ? tenant : tenant.tenant)
    return enterTenant(this.#tenantry, tenant, signal)
  }

  /**
   * Returns the response to an error, and logs the error if the status is 500 or above. Undefined leaves the error to
   * the framework's own error handling.
   */
  answer(error: unknown, request: Request): ErrorResponse | undefined {
    if (!(error instanceof TenantryError)) return undefined
    const own = this.#options.onError?.(error, request)
    if (own === 'framework') return undefined
    const answer = own ?? errorResponse(error)
    if (answer !== undefined && answer.status >= firstFailure) this.#logFailure(error, answer, request)
    return answer
  }

  #logFailure(err: TenantryError, { status }: ErrorResponse, request: Request): void {
    if (this.#log === false) return
    const { code, hint, tenant = this.#tenants.get(request) } = err
    const failure = { status, code, tenant, hint, err }
    try {
      this.#log(failure, request)
    } catch {
      // A logger that fails must not change the response, and its entry must not be lost.
      logToConsole(failure)
    }
  }

  #isExempt(request: Request, like: RequestLike): boolean {
    const { exempt = [] } = this.#options
    return typeof exempt === 'function' ? exempt(request) : exempt.includes(pathOf(like.url))
  }
}

/** A Tenantry, by the methods that route requests. */
export const tenantrySchema = checked<RequestsTenantry<unknown>>(
  (value) =>
    hasMethods(value, 'run', 'with', 'captureTenant') &&
    hasMethods(
      readable('tenantry', () => Reflect.get(value as object, 'domains') as unknown),
      'tenantOf',
    ),
  'a Tenantry',
  'Pass the result of openTenantry().',
)

const requestSchema = checked(
  (like) => readable('The request', () => typeof (like as RequestLike | undefined)?.url === 'string'),
  'an object, with its target in url',
  'Give { host, url, headers } beside it.',
)

function requireRequest(request: object, like: RequestLike): void {
  const isRequest = typeof request === 'object' && request !== null
  readOptions('The request', requestSchema, isRequest ? like : undefined)
}

const sourceMust = must(
  'a list of at least one source',
  "Name the sources of the tenant: tenantFrom: [subdomain({ base: 'app.example.com' })].",
)
const exemptWanted = 'a list of paths or a function'
const exemptHint = "Write exempt: ['/health'], with whole paths, or a function of the request."

/** Returns the schemas of the options that every integration has. */
export function requestsSchemas<Request>(): Schemas<RequestsOptions<Request>> {
  const isSource = (source: unknown) => hasMethods(source, 'find')
  return {
    tenantFrom: v.pipe(
      v.array(v.custom<TenantSource<Request>>(isSource, sourceMust), sourceMust),
      v.minLength(1, sourceMust),
    ),
    exempt: v.union(
      [functionOption<(request: Request) => boolean>(), texts(exemptWanted, exemptHint)],
      must(exemptWanted, exemptHint),
    ),
    onError: functionOption<OnError<Request>>(),
    log: checked<LogFailure<Request> | false>(
      (value) => value === false || typeof value === 'function',
      'a function',
      'Give a function, or false for no log.',
    ),
  }
}
