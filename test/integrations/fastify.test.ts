import { fastify, type FastifyInstance } from 'fastify'
import { mikroOrm } from 'tenantry/mikro-orm'
import { claim, fastifyTenants, path, subdomain } from 'tenantry/fastify'
import { pathWithoutTenant } from 'tenantry/requests'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'
import { serveByFastify } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByFastify)

describe('features of Fastify alone', () => {
  let tenantry: TestTenantry<unknown>
  const tenantFrom = [subdomain({ base: 'app.test' })]
  const ask = (app: FastifyInstance, tenant: string, url = '/id') =>
    app.inject({ url, headers: { host: `${tenant}.app.test` } })

  beforeAll(async () => {
    tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }))
    for (const id of ['acme', 'beta']) await tenantry.onboard(id)
  })

  it('a scope has tenants, and the one around it has none', async () => {
    const app = fastify()
    app.register(async (scope) => {
      await scope.register(fastifyTenants, { tenantry, tenantFrom })
      scope.get('/id', async ({ tenant }) => tenant.id)
    })
    app.get('/health', (request, reply) => void reply.send(String('tenant' in request)))
    expect((await ask(app, 'acme')).body).toBe('acme')
    expect((await ask(app, 'nobody')).statusCode).toBe(404)
    expect((await ask(app, 'nobody', '/health')).body).toBe('false')
  })

  it('the tenant is resolved in preHandler, if a route authenticates only then', async () => {
    const app = fastify()
    app.decorateRequest('user', '')
    const byUser = claim((request) => ('user' in (request as object) ? (request as { user: string }).user : undefined))
    await app.register(fastifyTenants, { tenantry, tenantFrom: [...tenantFrom, byUser], hook: 'preHandler' })
    const authenticate = async (request: object) => void Object.assign(request, { user: 'acme' })
    app.get('/id', { preValidation: authenticate }, async ({ tenant }) => tenant.id)
    expect((await ask(app, 'acme')).body).toBe('acme')
    expect((await ask(app, 'beta')).statusCode).toBe(403)
  })

  it('routes are written without the tenant in their paths, by rewriteUrl', async () => {
    const withoutTenant = pathWithoutTenant({ prefix: '/t' })
    const app = fastify({ rewriteUrl: ({ url }) => withoutTenant(url ?? '/') })
    await app.register(fastifyTenants, { tenantry, tenantFrom: [path({ prefix: '/t' })], exempt: ['/health'] })
    app.get('/id', async ({ tenant, query }) => ({ id: tenant.id, query }))
    app.get('/health', async () => 'up')
    expect((await app.inject('/t/beta/id?page=2')).json()).toEqual({ id: 'beta', query: { page: '2' } })
    expect((await app.inject('/health')).body).toBe('up')
    expect((await app.inject('/id')).statusCode).toBe(404)
    expect((await app.inject('/t/beta/health')).statusCode).toBe(200)
  })

  it("a route's own error handler receives errors that are not ours", async () => {
    const app = fastify()
    await app.register(fastifyTenants, { tenantry, tenantFrom })
    const fail = async () => {
      throw new Error('mine')
    }
    app.get('/id', { errorHandler: (_error, _request, reply) => void reply.code(418).send('own') }, fail)
    expect(await ask(app, 'acme')).toMatchObject({ statusCode: 418, body: 'own' })
  })

  it('a trusted proxy sets the host', async () => {
    const app = fastify({ trustProxy: true })
    await app.register(fastifyTenants, { tenantry, tenantFrom })
    app.get('/id', async ({ tenant }) => tenant.id)
    const headers = { host: 'internal', 'x-forwarded-host': 'beta.app.test' }
    expect((await app.inject({ url: '/id', headers })).body).toBe('beta')
  })
})
