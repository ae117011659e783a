// A service with Drizzle ORM: its tables are drizzle-kit's migrations, its handles Drizzle's own.

import { openTenantry } from 'tenantry'
import { drizzle } from 'tenantry/drizzle'
import * as schema from './schema.ts'

await using tenantry = await openTenantry({
  models: drizzle({ schema, migrations: new URL('drizzle/', import.meta.url) }),
  installation: 'blog',
})

for (const id of ['acme', 'globex']) {
  const { outcome, tenant } = await tenantry.onboard(id)
  console.log(`${id}: ${outcome}, in ${tenant.database}`)
}

await tenantry.with('acme', (db) =>
  db.transaction(async (tx) => {
    const [ada] = await tx.insert(schema.users).values({ name: 'Ada' }).returning()
    if (ada !== undefined) await tx.insert(schema.posts).values({ authorId: ada.id, title: 'Hello from acme' })
  }),
)

for (const id of ['acme', 'globex']) {
  const users = await tenantry.with(id, (db) => db.query.users.findMany({ with: { posts: true } }))
  const titles = users.flatMap(({ posts }) => posts.map(({ title }) => title))
  console.log(`${id} has ${titles.length} posts`, ...titles)
}
