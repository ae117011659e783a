import type { EntityManager } from '@mikro-orm/postgresql'
import type { Request } from 'express'
import type { FastifyRequest } from 'fastify'
import { type Context, Hono } from 'hono'
import { type Models, openTenantry } from 'tenantry'
import { expressTenants } from 'tenantry/express'
import { fastifyTenants, type FastifyTenantsOptions } from 'tenantry/fastify'
import { honoTenants, type TenantEnv } from 'tenantry/hono'
import { type CurrentTenant, TenantryModule } from 'tenantry/nestjs'
import { claim, errorResponse, type OnError, type RequestTenant, subdomain, TenantRequests } from 'tenantry/requests'
import { expectTypeOf, test } from 'vitest'

// The type that the test suite as a whole has registered: see test/integrations/framework.ts.
type Ours = RequestTenant<EntityManager>

interface Other {
  readonly other: true
}

const tenantry = await openTenantry({ models: {} as Models<EntityManager> })
const others = await openTenantry({ models: {} as Models<Other> })
const bySubdomain = subdomain({ base: 'app.test' })

test('a request has the tenant, with the handle that was registered', () => {
  expectTypeOf<Request['tenant']>().toEqualTypeOf<Ours>()
  expectTypeOf<FastifyRequest['tenant']>().toEqualTypeOf<Ours>()
  expectTypeOf<Ours['handle']>().returns.resolves.toEqualTypeOf<EntityManager>()
})

test("with Hono it has the adapter's own handle", () => {
  const app = new Hono().use(honoTenants(others, { tenantFrom: [bySubdomain] }))
  app.get('/', async (c) => {
    expectTypeOf(c.var.tenant).toEqualTypeOf<RequestTenant<Other>>()
    return c.text(c.get('tenant').id)
  })
  expectTypeOf<TenantEnv<Other>['Variables']['tenant']>().toEqualTypeOf<RequestTenant<Other>>()
})

test("a claim and the hook get the framework's own request", () => {
  expressTenants(tenantry, {
    tenantFrom: [bySubdomain, claim((request) => expectTypeOf(request).toEqualTypeOf<Request>())],
    onError: (_error, request) => void expectTypeOf(request).toEqualTypeOf<Request>(),
  })
  expectTypeOf(fastifyTenants).parameter(1).toEqualTypeOf<FastifyTenantsOptions>()
  expectTypeOf({
    tenantry,
    tenantFrom: [claim((request: FastifyRequest) => request.headers.authorization)],
  }).toExtend<FastifyTenantsOptions>()
  honoTenants(tenantry, {
    tenantFrom: [claim((c) => expectTypeOf(c).toEqualTypeOf<Context>())],
    exempt: (c) => c.req.path === '/',
  })
  TenantryModule.forRoot<Request>({ tenantry, tenantFrom: [claim(({ headers }) => headers.authorization)] })
})

test('an invalid source is refused', () => {
  // @ts-expect-error -- no source is the default
  expressTenants(tenantry, {})
  // @ts-expect-error -- a source is made by subdomain() and the like
  honoTenants(tenantry, { tenantFrom: ['x-tenant'] })
  // @ts-expect-error -- who leads requests to tenants needs a Tenantry
  expectTypeOf(new TenantRequests({}, { tenantFrom: [bySubdomain] }))
})

test('an injected tenant has the type that it is given', () => {
  expectTypeOf<CurrentTenant<Other>>().toExtend<RequestTenant<Other>>()
  expectTypeOf<CurrentTenant>().toExtend<RequestTenant<unknown>>()
})

test('answers can be changed or left', () => {
  expectTypeOf<OnError<Request>>().returns.extract<string>().toEqualTypeOf<'framework'>()
  expectTypeOf(errorResponse(new Error('mine')))
    .extract<object>()
    .toHaveProperty('status')
    .toEqualTypeOf<number>()
})
