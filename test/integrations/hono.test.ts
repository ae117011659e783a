import type { EntityManager } from '@mikro-orm/postgresql'
import { Hono } from 'hono'
import { streamText } from 'hono/streaming'
import { honoTenants, path, subdomain, type TenantEnv } from 'tenantry/hono'
import { mikroOrm } from 'tenantry/mikro-orm'
import { pathWithoutTenant } from 'tenantry/requests'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'
import { serveByHono } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByHono)

describe('features of Hono alone', () => {
  let tenantry: TestTenantry<EntityManager>

  beforeAll(async () => {
    tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }))
    for (const id of ['acme', 'beta']) await tenantry.onboard(id)
  })

  it('a stream reads and writes with the handle after the handler has ended', async () => {
    const app = new Hono<TenantEnv<EntityManager>>()
    app.use(honoTenants(tenantry, { tenantFrom: [subdomain({ base: 'app.test' })] }))
    app.get('/stream', async (c) => {
      const em = await c.var.tenant.handle()
      return streamText(c, async (stream) => {
        await em.transactional(async (tx) => {
          tx.create(User, { name: 'streamed', fullname: null })
        })
        await stream.write(`${tenantry.currentTenant()} `)
        await stream.write(String(await em.count(User, { name: 'streamed' })))
      })
    })
    const response = await app.request('http://acme.app.test/stream')
    expect(await response.text()).toBe('acme 1')
  })

  it('the URL names the host if there is no header', async () => {
    const app = new Hono<TenantEnv<EntityManager>>()
    app.use(honoTenants(tenantry, { tenantFrom: [subdomain({ base: 'app.test' })] }))
    app.get('/id', (c) => c.text(c.var.tenant.id))
    expect(await (await app.request('http://beta.app.test/id')).text()).toBe('beta')
    expect((await app.request('http://nobody.app.test/id')).status).toBe(404)
  })

  it('routes are written without the tenant in their paths, by getPath', async () => {
    const withoutTenant = pathWithoutTenant({ prefix: '/t' })
    const app = new Hono<TenantEnv<EntityManager>>({
      getPath: (request) => withoutTenant(new URL(request.url).pathname),
    })
    app.use(honoTenants(tenantry, { tenantFrom: [path({ prefix: '/t' })] }))
    app.get('/id', (c) => c.text(c.var.tenant.id))
    expect(await (await app.request('/t/beta/id?page=2')).text()).toBe('beta')
  })

  it('a response has none of the headers of the one that it replaces', async () => {
    const app = new Hono<TenantEnv<EntityManager>>()
    app.use(honoTenants(tenantry, { tenantFrom: [subdomain({ base: 'app.test' })] }))
    app.get('/id', () => tenantry.with('not-there', () => new Response(), { nested: 'allow' }))
    app.onError((_error, c) => c.text('own', 500, { 'x-own': 'yes' }))
    const response = await app.request('http://acme.app.test/id')
    expect(response.status).toBe(404)
    expect(response.headers.get('x-own')).toBeNull()
    expect(response.headers.get('content-type')).toContain('application/json')
  })
})
