import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express, { type Express } from 'express'
import { expressTenants, path, subdomain } from 'tenantry/express'
import { mikroOrm } from 'tenantry/mikro-orm'
import { pathWithoutTenant } from 'tenantry/requests'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { afterwards } from '../support/server.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'
import { serveByExpress } from './apps.ts'
import { HttpClient } from './client.ts'
import { conformance } from './conformance.ts'

conformance(serveByExpress)

describe('features of Express alone', () => {
  let tenantry: TestTenantry<unknown>

  beforeAll(async () => {
    tenantry = await openTestTenantry(mikroOrm({ entities: [User, Address] }))
    for (const id of ['acme', 'beta']) await tenantry.onboard(id)
  })

  it('a trusted proxy sets the host', async () => {
    const app = express()
    app.set('trust proxy', true)
    app.use(expressTenants(tenantry, { tenantFrom: [subdomain({ base: 'app.test' })] }))
    app.get('/id', (request, response) => void response.send(request.tenant.id))
    const client = await listening(app)
    const headers = { 'x-forwarded-host': 'beta.app.test' }
    expect((await client.ask({ path: '/id', host: 'internal', headers })).text).toBe('beta')
  })

  it('routes are written without the tenant in their paths, by a middleware behind', async () => {
    const withoutTenant = pathWithoutTenant({ prefix: '/t' })
    const app = express()
    app.use(expressTenants(tenantry, { tenantFrom: [path({ prefix: '/t' })] }))
    app.use((request, _response, next) => {
      request.url = withoutTenant(request.url)
      next()
    })
    app.get('/id', (request, response) => void response.send(request.tenant.id))
    const client = await listening(app)
    expect((await client.ask({ path: '/t/beta/id?page=2' })).text).toBe('beta')
  })

  it('a mounted router has tenants of its own', async () => {
    const app = express()
    const tenants = expressTenants(tenantry, { tenantFrom: [path({ prefix: '/t' })] })
    app.use('/t', tenants)
    app.get('/t/:tenant/id', (request, response) => void response.send(request.tenant.id))
    app.get('/health', (request, response) => void response.send('tenant' in request ? 'in' : 'out'))
    const client = await listening(app)
    expect((await client.ask({ path: '/t/acme/id' })).text).toBe('acme')
    expect((await client.ask({ path: '/health' })).text).toBe('out')
    expect((await client.ask({ path: '/t/nobody/id' })).status).toBe(404)
  })

  it('a response of which a part was sent is left alone', async () => {
    const app = express()
    const tenants = expressTenants(tenantry, { tenantFrom: [path({ prefix: '/t' })] })
    app.use(tenants)
    app.get('/t/:tenant/half', async (_request, response) => {
      response.write('half')
      await tenantry.with('not-there', () => undefined, { nested: 'allow' })
    })
    app.use(tenants.errors)
    const client = await listening(app)
    await expect(client.ask({ path: '/t/acme/half' })).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect((await client.ask({ path: '/t/nobody/half' })).status).toBe(404)
  })
})

async function listening(app: Express): Promise<HttpClient> {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new HttpClient((server.address() as AddressInfo).port)
  afterwards(async () => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return client
}
