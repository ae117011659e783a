// A service with Prisma: its tables are Prisma's migrations, its handles its own generated client.

import { openTenantry } from 'tenantry'
import { prisma } from 'tenantry/prisma'
import { PrismaClient } from './generated/prisma/client.ts'

await using tenantry = await openTenantry({
  models: prisma({
    migrations: new URL('prisma/migrations/', import.meta.url),
    client: (adapter) => new PrismaClient({ adapter }),
  }),
  installation: 'posts',
})

for (const id of ['acme', 'globex']) {
  const { outcome, tenant } = await tenantry.onboard(id)
  console.log(`${id}: ${outcome}, in ${tenant.database}`)
}

await tenantry.with('acme', (client) =>
  client.user.create({ data: { name: 'Ada', posts: { create: { title: 'Hello from acme' } } } }),
)

for (const id of ['acme', 'globex']) {
  const posts = await tenantry.with(id, (client) => client.post.findMany({ include: { author: true } }))
  console.log(`${id} has ${posts.length} posts`, ...posts.map(({ title, author }) => `${title}, by ${author.name}`))
}
