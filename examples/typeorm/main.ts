// A service with TypeORM: its tables are TypeORM's migrations, its handles TypeORM's EntityManager.

import { openTenantry } from 'tenantry'
import { typeorm } from 'tenantry/typeorm'
import { UserEntity } from './entities.ts'
import { options } from './options.ts'

await using tenantry = await openTenantry({ models: typeorm(options), installation: 'articles' })

for (const id of ['acme', 'globex']) {
  const { outcome, tenant } = await tenantry.onboard(id)
  console.log(`${id}: ${outcome}, in ${tenant.database}`)
}

await tenantry.with('acme', (manager) =>
  manager.transaction(async (inTransaction) => {
    await inTransaction.save(UserEntity, { name: 'Ada', posts: [{ title: 'Hello from acme' }] })
  }),
)

for (const id of ['acme', 'globex']) {
  const users = await tenantry.with(id, (manager) => manager.find(UserEntity, { relations: { posts: true } }))
  const titles = users.flatMap(({ posts }) => posts.map(({ title }) => title))
  console.log(`${id} has ${titles.length} posts`, ...titles)
}
