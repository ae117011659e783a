// Users of tenants over HTTP, with Hono. Run it with `node examples/hono/main.ts`, and then:
//
//   curl localhost:3000/tenants --json '{"id":"acme","displayName":"Acme GmbH"}'
//   curl acme.localhost:3000/users --json '{"name":"sandy"}'
//   curl acme.localhost:3000/users

import { serve } from '@hono/node-server'
import type { EntityManager } from '@mikro-orm/postgresql'
import { Hono } from 'hono'
import { openTenantry } from 'tenantry'
import { honoTenants, subdomain, type TenantEnv } from 'tenantry/hono'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Address, User } from '../service/models.ts'

const tenantry = await openTenantry({ models: mikroOrm({ entities: [User, Address] }), installation: 'byhono' })

const app = new Hono<TenantEnv<EntityManager>>()
app.use(
  honoTenants(tenantry, {
    tenantFrom: [subdomain({ base: 'localhost' })],
    // A customer who signs up has no tenant yet.
    exempt: ['/tenants'],
    onError: ({ code }) => {
      if (code === 'invalid-tenant-id') return { status: 400, body: { error: code } }
      return code === 'tenant-exists' ? { status: 409, body: { error: code } } : undefined
    },
  }),
)

// An id that is taken belongs to another customer.
app.post('/tenants', async (c) => {
  const { id, displayName } = await c.req.json<{ id: string; displayName: string }>()
  const { tenant } = await tenantry.onboard(id, { displayName, existing: 'refuse', actor: 'sign-up' })
  return c.json({ id: tenant.id, displayName: tenant.displayName }, 201)
})

app.get('/users', async (c) => {
  const em = await c.var.tenant.handle()
  return c.json(await em.findAll(User, { orderBy: { id: 'asc' } }))
})

app.post('/users', async (c) => {
  const { name } = await c.req.json<{ name: string }>()
  const em = await c.var.tenant.handle()
  const user = em.create(User, { name })
  await em.flush()
  return c.json(user, 201)
})

const server = serve({ fetch: app.fetch, port: Number(process.env['PORT'] ?? 3000) }, ({ port }) => {
  console.log(`Ready on http://localhost:${port}`)
})
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(() => void tenantry.close()))
}
