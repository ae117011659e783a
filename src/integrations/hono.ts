// The entry `tenantry/hono`.

import type { Context, MiddlewareHandler } from 'hono'
import type { ErrorResponse } from './error-response.ts'
import type { RequestLike } from './request-like.ts'
import type { EnteredTenant, RequestTenant } from './request-tenant.ts'
import { type RequestsOptions, type RequestsTenantry, TenantRequests } from './tenant-requests.ts'

export { claim, customDomain, header, path, subdomain } from './sources.ts'

/** The environment of a context behind the middleware: `new Hono<TenantEnv<EntityManager>>()`. */
export interface TenantEnv<Handle> {
  Variables: {
    /** The tenant of the request; undefined for an exempt request. */
    tenant: RequestTenant<Handle>
  }
}

/**
 * Routes requests to their tenants: `app.use(honoTenants(tenantry, { ... }))`. Each runs in its tenant's context, and
 * has it as `c.var.tenant`.
 *
 * @throws `invalid-option`
 */
export function honoTenants<Handle>(
  tenantry: RequestsTenantry<Handle>,
  options: RequestsOptions<Context>,
): MiddlewareHandler<TenantEnv<Handle>> {
  const requests = new TenantRequests<Handle, Context>(tenantry, options)

  const enter = async (c: Context) => {
    try {
      return await requests.enter(c, requestOf(c), c.req.raw.signal)
    } catch (error) {
      const answer = requests.answer(error, c)
      if (answer === undefined) throw error
      return toResponse(answer)
    }
  }

  return async (c, next) => {
    const tenant = await enter(c)
    if (tenant instanceof Response) return tenant
    if (tenant === undefined) await next()
    else await inside(c, tenant, next)
    // The app's onError has handled it by now, and has made a response of it.
    const answer = c.error && requests.answer(c.error, c)
    if (answer === undefined) return undefined
    // Cleared first, since otherwise the headers of the two responses would be merged.
    c.res = undefined
    c.res = toResponse(answer)
    return undefined
  }
}

async function inside<Handle>(
  c: Context<TenantEnv<Handle>>,
  tenant: EnteredTenant<Handle>,
  next: () => Promise<void>,
): Promise<void> {
  c.set('tenant', tenant)
  try {
    await tenant.run(next)
  } finally {
    await tenant.end()
  }
}

function requestOf({ req }: Context): RequestLike {
  const url = new URL(req.url)
  return {
    host: req.header('host') ?? url.host,
    url: url.pathname + url.search,
    // Collected only if a source reads one.
    get headers() {
      return req.header()
    },
  }
}

function toResponse({ status, headers, body }: ErrorResponse): Response {
  return Response.json(body, { status, headers: { ...headers } })
}
