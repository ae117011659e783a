// Users of tenants over HTTP, with Express. Run it with `node examples/express/main.ts`, and then:
//
//   curl localhost:3000/tenants --json '{"id":"acme","displayName":"Acme GmbH"}'
//   curl acme.localhost:3000/users --json '{"name":"sandy"}'
//   curl acme.localhost:3000/users

import type { AddressInfo } from 'node:net'
import type { EntityManager } from '@mikro-orm/postgresql'
import express from 'express'
import { openTenantry } from 'tenantry'
import { expressTenants, subdomain } from 'tenantry/express'
import { mikroOrm } from 'tenantry/mikro-orm'
import { Address, User } from '../service/models.ts'

declare module 'tenantry/requests' {
  interface Registered {
    handle: EntityManager
  }
}

const tenantry = await openTenantry({ models: mikroOrm({ entities: [User, Address] }), installation: 'byexpress' })
const tenants = expressTenants(tenantry, { tenantFrom: [subdomain({ base: 'localhost' })], onError: refusals })

const app = express()
app.use(express.json())

// Before the tenants: a customer who signs up has none yet. An id that is taken belongs to another customer.
app.post('/tenants', async (request, response) => {
  const { id, displayName } = request.body as { id: string; displayName: string }
  const { tenant } = await tenantry.onboard(id, { displayName, existing: 'refuse', actor: 'sign-up' })
  response.status(201).json({ id: tenant.id, displayName: tenant.displayName })
})

app.use(tenants)

app.get('/users', async (request, response) => {
  const em = await request.tenant.handle()
  response.json(await em.findAll(User, { orderBy: { id: 'asc' } }))
})

app.post('/users', async (request, response) => {
  const { name } = request.body as { name: string }
  const em = await request.tenant.handle()
  const user = em.create(User, { name })
  await em.flush()
  response.status(201).json(user)
})

app.use(tenants.errors)

/** Returns the response to a customer who signs up. */
function refusals({ code }: { readonly code: string }) {
  if (code === 'invalid-tenant-id') return { status: 400, body: { error: code } }
  return code === 'tenant-exists' ? { status: 409, body: { error: code } } : undefined
}

const server = app.listen(Number(process.env['PORT'] ?? 3000), () => {
  console.log(`Ready on http://localhost:${(server.address() as AddressInfo).port}`)
})
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(() => void tenantry.close()))
}
