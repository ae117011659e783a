// The entry `tenantry/fastify`.

import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { oneOf, optionsOf, readOptions } from '../kernel/options.ts'
import type { ErrorResponse } from './error-response.ts'
import { type LogFailure, sentence } from './failure-log.ts'
import { enterUntilSent, nodeRequest } from './node-requests.ts'
import type { RequestTenant } from './request-tenant.ts'
import type { RegisteredHandle } from './requests.ts'
import {
  requestsSchemas,
  type RequestsOptions,
  type RequestsTenantry,
  tenantrySchema,
  TenantRequests,
} from './tenant-requests.ts'

export { claim, customDomain, header, path, subdomain } from './sources.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The tenant of the request; undefined for an exempt request. */
    tenant: RequestTenant<RegisteredHandle>
  }
}

/** Options of the plugin. */
export interface FastifyTenantsOptions extends RequestsOptions<FastifyRequest> {
  readonly tenantry: RequestsTenantry<unknown>
  /**
   * The hook in which the tenant is resolved. Default `preValidation`; use `preHandler` if authentication is complete
   * only then.
   */
  readonly hook?: 'preValidation' | 'preHandler' | undefined
}

const schema = optionsOf<FastifyTenantsOptions>(
  { ...requestsSchemas<FastifyRequest>(), tenantry: tenantrySchema, hook: oneOf(['preValidation', 'preHandler']) },
  'tenantry',
  'tenantFrom',
)

/**
 * Routes the requests of its scope to their tenants. Each runs in its tenant's context, and has it as `request.tenant`.
 *
 * @throws `invalid-option`
 */
// Not a callback plugin: no one catches the errors that it throws.
export const fastifyTenants: FastifyPluginAsync<FastifyTenantsOptions> = async (fastify, options) => {
  const { tenantry, hook = 'preValidation', ...others } = readOptions('fastifyTenants', schema, options)
  const requests = new TenantRequests<unknown, FastifyRequest>(tenantry, others, logToRequest)

  const enter = async (request: FastifyRequest, reply: FastifyReply, next: (error?: Error) => void) => {
    try {
      const like = nodeRequest(request.raw, request.host, request.originalUrl)
      const tenant = await enterUntilSent(requests, request, like, reply.raw)
      if (tenant === undefined) return next
      request.tenant = tenant
      return () => tenant.run(next)
    } catch (error) {
      const answer = requests.answer(error, request)
      return answer === undefined ? () => next(error as Error) : () => void sendReply(reply, answer)
    }
  }
  const goIn = async (request: FastifyRequest, reply: FastifyReply, next: (error?: Error) => void) => {
    let goOn: () => void
    try {
      goOn = await enter(request, reply, next)
    } catch (error) {
      // An error of the service's own onError.
      goOn = () => next(error as Error)
    }
    goOn()
  }

  fastify.decorateRequest('tenant')
  // Takes a callback, since the context that an async hook enters ends with the hook.
  fastify.addHook(hook as 'preValidation', (request, reply, next) => {
    void goIn(request, reply, next)
  })
  // Set by route, so that the error handler of the scope stays the service's own; errors thrown here go there.
  fastify.addHook('onRoute', (route) => {
    const own = route.errorHandler
    route.errorHandler = function onError(error, request, reply): unknown {
      const answer = requests.answer(error, request)
      if (answer !== undefined) return sendReply(reply, answer)
      if (own === undefined) throw error
      return own.call(this, error, request, reply)
    }
  })
}

// These symbols make Fastify apply the hooks to the scope that registers the plugin, and not to one of its own.
Object.assign(fastifyTenants, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'tenantry',
  [Symbol.for('plugin-meta')]: { name: 'tenantry', fastify: '5.x' },
})

const logToRequest: LogFailure<FastifyRequest> = (failure, { log }) => log.error(failure, sentence(failure))

function sendReply(reply: FastifyReply, { status, headers = {}, body }: ErrorResponse): FastifyReply {
  return reply.code(status).headers(headers).send(body)
}
