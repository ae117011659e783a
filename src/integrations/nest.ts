import * as v from 'valibot'
// The entry `tenantry/nestjs`. Its decorators are called as functions, since the code has to run under type stripping.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type CallHandler,
  type DynamicModule,
  type ExecutionContext,
  HttpException,
  type InjectionToken,
  Logger,
  Module,
  type NestInterceptor,
  type Provider,
} from '@nestjs/common'
import { APP_INTERCEPTOR, HttpAdapterHost } from '@nestjs/core'
import { catchError, Observable } from 'rxjs'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { functionOption, must, optionsOf, readOptions } from '../kernel/options.ts'
import { type AnsweredFailure, details, sentence } from './failure-log.ts'
import { enterUntilSent, nodeRequest } from './node-requests.ts'
import type { RequestTenant } from './request-tenant.ts'
import {
  requestsSchemas,
  type RequestsOptions,
  type RequestsTenantry,
  tenantrySchema,
  TenantRequests,
} from './tenant-requests.ts'

export { claim, customDomain, header, path, subdomain } from './sources.ts'

/** A request in NestJS: Express's or Fastify's own. */
export interface NestRequest {
  readonly host?: string
  readonly originalUrl: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** Options of the module. `Request` is the platform's type. */
export interface TenantryModuleOptions<Request = NestRequest> extends RequestsOptions<Request> {
  readonly tenantry: RequestsTenantry<unknown>
}

/** Options that are made from other providers. */
export interface TenantryModuleAsyncOptions<Request = NestRequest> extends Pick<DynamicModule, 'imports'> {
  readonly inject?: readonly InjectionToken[]
  readonly useFactory: (
    // oxlint-disable-next-line typescript/no-explicit-any -- what is injected is only known where it is written
    ...injected: any[]
  ) => TenantryModuleOptions<Request> | Promise<TenantryModuleOptions<Request>>
}

/** The token of the module's Tenantry: `@Inject(TENANTRY) tenantry: Tenantry<EntityManager>`. */
export const TENANTRY = Symbol('TENANTRY')

const options = Symbol('options of TenantryModule')

/**
 * The tenant of the current request, for injection. One object serves all requests, and looks the tenant up in the
 * context of the call: so the providers that inject it need no request scope.
 */
export class CurrentTenant<Handle = unknown> implements RequestTenant<Handle> {
  readonly #storage: AsyncLocalStorage<RequestTenant<Handle>>

  constructor(storage: AsyncLocalStorage<RequestTenant<Handle>>) {
    this.#storage = storage
  }

  get id(): TenantId {
    return this.#current().id
  }

  get signal(): AbortSignal {
    return this.#current().signal
  }

  handle(): Promise<Handle> {
    return this.#current().handle()
  }

  run<T>(work: () => T): T {
    return this.#current().run(work)
  }

  #current(): RequestTenant<Handle> {
    const tenant = this.#storage.getStore()
    if (tenant !== undefined) return tenant
    throw new TenantryError('no-tenant', 'No request of a tenant is under way where this code runs.', {
      hint: 'Use it in handlers, pipes and the code that they call. Guards and middleware come before; exempt routes have none.',
    })
  }
}

/** Routes requests to their tenants, in the whole application. */
// oxlint-disable-next-line typescript/no-extraneous-class -- what NestJS calls a module
export class TenantryModule {
  /** Returns the module with fixed options. */
  static forRoot<Request = NestRequest>(given: TenantryModuleOptions<Request>): DynamicModule {
    return moduleWith({ provide: options, useFactory: () => readModuleOptions(given) })
  }

  /** Returns the module with options that a function makes from other providers. */
  static forRootAsync<Request = NestRequest>(given: TenantryModuleAsyncOptions<Request>): DynamicModule {
    const {
      imports = [],
      inject = [],
      useFactory,
    } = readOptions('forRootAsync', asyncSchema as v.GenericSchema<unknown, TenantryModuleAsyncOptions<Request>>, given)
    const make = async (...injected: unknown[]) => readModuleOptions(await useFactory(...injected))
    return { ...moduleWith({ provide: options, useFactory: make, inject: [...inject] }), imports }
  }
}
Module({})(TenantryModule)

const anyList = v.array(v.any(), must('a list'))
const asyncSchema = optionsOf<TenantryModuleAsyncOptions<never>>(
  { imports: anyList, inject: anyList, useFactory: functionOption<TenantryModuleAsyncOptions<never>['useFactory']>() },
  'useFactory',
)

function readModuleOptions<Request>(given: TenantryModuleOptions<Request>): TenantryModuleOptions<Request> {
  const schemas = { ...requestsSchemas<Request>(), tenantry: tenantrySchema }
  const schema = optionsOf<TenantryModuleOptions<Request>>(schemas, 'tenantry', 'tenantFrom')
  return readOptions('TenantryModule', schema, given)
}

function moduleWith(given: Provider): DynamicModule {
  const storage = new AsyncLocalStorage<RequestTenant<unknown>>()
  const interceptor = (checked: TenantryModuleOptions, adapter: HttpAdapterHost) =>
    new TenantInterceptor(checked, adapter, storage)
  return {
    module: TenantryModule,
    global: true,
    providers: [
      given,
      { provide: TENANTRY, useFactory: ({ tenantry }: TenantryModuleOptions) => tenantry, inject: [options] },
      { provide: CurrentTenant, useValue: new CurrentTenant(storage) },
      { provide: APP_INTERCEPTOR, useFactory: interceptor, inject: [options, HttpAdapterHost] },
    ],
    exports: [TENANTRY, CurrentTenant],
  }
}

/** Enters the tenant after the guards, since they may authenticate; handlers and pipes run inside. */
class TenantInterceptor implements NestInterceptor {
  readonly #requests: TenantRequests<unknown, NestRequest>
  readonly #adapter: HttpAdapterHost
  readonly #storage: AsyncLocalStorage<RequestTenant<unknown>>

  constructor(
    { tenantry, ...others }: TenantryModuleOptions,
    adapter: HttpAdapterHost,
    storage: AsyncLocalStorage<RequestTenant<unknown>>,
  ) {
    this.#requests = new TenantRequests(tenantry, others, logToNest)
    this.#adapter = adapter
    this.#storage = storage
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (context.getType() !== 'http') return next.handle()
    const http = context.switchToHttp()
    const request = http.getRequest<NestRequest>()
    const response = http.getResponse<object>()
    const translate = (error: unknown) => this.#translate(error, request, response)
    const tenant = await this.#enter(request, response).catch((error: unknown) => {
      throw translate(error)
    })
    const handled =
      tenant === undefined
        ? next.handle()
        : new Observable((subscriber) =>
            tenant.run(() => this.#storage.run(tenant, () => next.handle().subscribe(subscriber))),
          )
    return handled.pipe(
      catchError((error: unknown) => {
        throw translate(error)
      }),
    )
  }

  #enter(request: NestRequest, response: object): Promise<RequestTenant<unknown> | undefined> {
    const like = nodeRequest(raw(request) as IncomingMessage, request.host, request.originalUrl)
    return enterUntilSent(this.#requests, request, like, raw(response) as ServerResponse)
  }

  /** Returns the exception for NestJS's exception filters in place of an error. */
  #translate(error: unknown, request: NestRequest, response: object): unknown {
    const { httpAdapter } = this.#adapter
    const answer = httpAdapter.isHeadersSent(response) ? undefined : this.#requests.answer(error, request)
    if (answer === undefined) return error
    for (const [name, value] of Object.entries(answer.headers ?? {})) {
      httpAdapter.setHeader(response, name, value)
    }
    return new HttpException(answer.body as Record<string, unknown>, answer.status, { cause: error })
  }
}

const logger = new Logger('Tenantry')

/** Logs a failure. NestJS calls the second argument the stack, and prints it below the message. */
function logToNest(failure: AnsweredFailure): void {
  logger.error(sentence(failure), details(failure))
}

/** Returns Node's own request or response, below that of Express or Fastify. */
function raw(it: object): unknown {
  return 'raw' in it ? it.raw : it
}
