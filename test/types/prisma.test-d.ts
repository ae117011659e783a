import { openTenantry, type Tenantry } from 'tenantry'
import { type Models, prisma } from 'tenantry/prisma'
import { expectTypeOf, test } from 'vitest'
import { PrismaClient } from '../fixtures/prisma/client/client.ts'

test("with hands over the service's own client", async () => {
  const models = prisma({ migrations: './prisma/migrations', client: (adapter) => new PrismaClient({ adapter }) })
  expectTypeOf(models).toEqualTypeOf<Models<PrismaClient>>()
  const tenantry = await openTenantry({ models })
  expectTypeOf(tenantry).toEqualTypeOf<Tenantry<PrismaClient>>()
  const users = await tenantry.with('acme', (client) => client.user.findMany({ include: { posts: true } }))
  expectTypeOf(users[0]?.posts[0]?.title).toEqualTypeOf<string | undefined>()
  const roles = await tenantry.with('acme', (client) => client.user.findMany({ select: { role: true } }))
  expectTypeOf(roles).toEqualTypeOf<{ role: 'ADMIN' | 'MEMBER' }[]>()
  // @ts-expect-error -- the schema has no such table
  await tenantry.with('acme', (client) => client.nothing.findMany())
})

test('the client may be extended', async () => {
  const models = prisma({
    migrations: new URL('file:///prisma/migrations'),
    client: (adapter) =>
      new PrismaClient({ adapter, omit: { user: { tags: true } } }).$extends({
        result: { user: { shout: { needs: { name: true }, compute: ({ name }) => name.toUpperCase() } } },
      }),
  })
  const tenantry = await openTenantry({ models })
  const user = await tenantry.with('acme', (client) => client.user.findFirstOrThrow())
  expectTypeOf(user.shout).toEqualTypeOf<string>()
  expectTypeOf(user).not.toHaveProperty('tags')
  // @ts-expect-error -- every client needs the adapter of its tenant
  prisma({ migrations: './prisma/migrations', client: () => new PrismaClient() })
  // @ts-expect-error -- not a client
  prisma({ migrations: './prisma/migrations', client: () => 'client' })
})
