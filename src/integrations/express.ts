// The entry `tenantry/express`.

import type { ErrorRequestHandler, NextFunction, Request, RequestHandler, Response } from 'express'
import type { ErrorResponse } from './error-response.ts'
import { enterUntilSent, nodeRequest } from './node-requests.ts'
import type { RequestTenant } from './request-tenant.ts'
import type { RegisteredHandle } from './requests.ts'
import { type RequestsOptions, type RequestsTenantry, TenantRequests } from './tenant-requests.ts'

export { claim, customDomain, header, path, subdomain } from './sources.ts'

declare global {
  namespace Express {
    interface Request {
      /** The tenant of the request; undefined for an exempt request. */
      tenant: RequestTenant<RegisteredHandle>
    }
  }
}

/** Express middleware: put it before the routes, and its `errors` behind them. */
export interface ExpressTenants extends RequestHandler {
  readonly errors: ErrorRequestHandler
}

/**
 * Routes requests to their tenants: `app.use(tenants)`, then the routes, then `app.use(tenants.errors)`. Each request
 * runs in its tenant's context, and has it as `request.tenant`.
 *
 * @throws `invalid-option`
 */
export function expressTenants<Handle>(
  tenantry: RequestsTenantry<Handle>,
  options: RequestsOptions<Request>,
): ExpressTenants {
  const requests = new TenantRequests(tenantry, options)

  const fail = (error: unknown, request: Request, response: Response, next: NextFunction) => {
    const answer = response.headersSent ? undefined : requests.answer(error, request)
    if (answer === undefined) next(error)
    else send(response, answer)
  }

  const enter = async (request: Request, response: Response, next: NextFunction) => {
    try {
      const like = nodeRequest(request, request.host, request.originalUrl)
      const tenant = await enterUntilSent(requests, request, like, response)
      if (tenant === undefined) return next
      Object.assign(request, { tenant })
      return () => tenant.run(next)
    } catch (error) {
      return () => fail(error, request, response, next)
    }
  }

  const middleware: RequestHandler = async (request, response, next) => {
    const goOn = await enter(request, response, next)
    goOn()
  }
  const errors: ErrorRequestHandler = (error: unknown, request, response, next) => fail(error, request, response, next)
  return Object.assign(middleware, { errors })
}

function send(response: Response, { status, headers = {}, body }: ErrorResponse): void {
  response.status(status).set(headers).json(body)
}
