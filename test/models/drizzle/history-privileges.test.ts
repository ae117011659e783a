import { drizzle } from 'tenantry/drizzle'
import { expect, it } from 'vitest'
import { existingDatabase } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { historyIn, journalFolder, migrateByDrizzle } from './folders.ts'

const folder = await journalFolder({ '0000_users': 'CREATE TABLE "users" ("id" serial PRIMARY KEY, "name" text);' })
const tenantry = await openTestTenantry(drizzle({ migrations: folder }))

const forgeries = [
  `insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', 1)`,
  `update drizzle.__drizzle_migrations set hash = 'x'`,
  'delete from drizzle.__drizzle_migrations',
  'truncate drizzle.__drizzle_migrations',
  `select setval('drizzle.__drizzle_migrations_id_seq', 1)`,
  'drop table drizzle.__drizzle_migrations',
]

it("a tenant's role reads its history and does not write it, however its database was made", async () => {
  const { name } = await existingDatabase()
  await migrateByDrizzle(name, folder)
  await tenantry.onboard('made')
  await tenantry.tenants.clone('made', 'cloned')
  await tenantry.tenants.adopt('adopted', { database: name })
  for (const id of ['made', 'cloned', 'adopted']) {
    await tenantry.with(id, async (db) => {
      for (const forgery of forgeries) {
        expect(await errorOf(db.execute(forgery)), `${id}: ${forgery}`).toMatchObject({ cause: { code: '42501' } })
      }
      expect((await db.execute('select hash from drizzle.__drizzle_migrations')).rows).toHaveLength(1)
      await db.execute(`insert into users (name) values ('Ada')`)
    })
    expect(await tenantry.tenants.check(id)).toMatchObject({ outcome: 'matches', privileges: [] })
    const tenant = await tenantry.tenants.get(id)
    await migrateByDrizzle(tenant!.database, folder)
    expect(await historyIn(tenant!.database)).toHaveLength(1)
  }
})
