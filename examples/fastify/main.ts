// Users of tenants over HTTP, with Fastify. Run it with `node examples/fastify/main.ts`, and then:
//
//   curl localhost:3000/tenants --json '{"id":"acme","displayName":"Acme GmbH"}'
//   curl acme.localhost:3000/users --json '{"name":"sandy"}'
//   curl acme.localhost:3000/users

import type { AddressInfo } from 'node:net'
import type { EntityManager } from '@mikro-orm/postgresql'
import { fastify } from 'fastify'
import { openTenantry } from 'tenantry'
import { fastifyTenants, subdomain } from 'tenantry/fastify'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Address, User } from '../service/models.ts'

declare module 'tenantry/requests' {
  interface Registered {
    handle: EntityManager
  }
}

const tenantry = await openTenantry({ models: mikroOrm({ entities: [User, Address] }), installation: 'byfastify' })

const app = fastify()
await app.register(fastifyTenants, {
  tenantry,
  tenantFrom: [subdomain({ base: 'localhost' })],
  // A customer who signs up has no tenant yet.
  exempt: ['/tenants'],
  onError: ({ code }) => {
    if (code === 'invalid-tenant-id') return { status: 400, body: { error: code } }
    return code === 'tenant-exists' ? { status: 409, body: { error: code } } : undefined
  },
})

// An id that is taken belongs to another customer.
app.post<{ Body: { id: string; displayName: string } }>('/tenants', async ({ body }, reply) => {
  const { id, displayName } = body
  const { tenant } = await tenantry.onboard(id, { displayName, existing: 'refuse', actor: 'sign-up' })
  return reply.code(201).send({ id: tenant.id, displayName: tenant.displayName })
})

app.get('/users', async ({ tenant }) => {
  const em = await tenant.handle()
  return em.findAll(User, { orderBy: { id: 'asc' } })
})

app.post<{ Body: { name: string } }>('/users', async ({ tenant, body }, reply) => {
  const em = await tenant.handle()
  const user = em.create(User, { name: body.name })
  await em.flush()
  return reply.code(201).send(user)
})

app.addHook('onClose', () => tenantry.close())
await app.listen({ port: Number(process.env['PORT'] ?? 3000) })
console.log(`Ready on http://localhost:${(app.server.address() as AddressInfo).port}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void app.close())
