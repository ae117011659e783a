import { expect, it } from 'vitest'
import { existingDatabase } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { migration, modelsOf, runMigrations } from './run-migrations.ts'

const forgeries = [
  `insert into migrations ("timestamp", name) values (1, 'x')`,
  `update migrations set name = 'x'`,
  'delete from migrations',
  'truncate migrations',
  'drop table migrations',
]

it("a tenant's role reads its history and does not write it, however its database was made", async () => {
  const migrations = [migration('Users1700000000000', 'CREATE TABLE "member" ("id" INT PRIMARY KEY)')]
  const tenantry = await openTestTenantry(modelsOf(migrations))
  const { name } = await existingDatabase()
  await runMigrations(name, migrations)
  await tenantry.onboard('made')
  await tenantry.tenants.adopt('adopted', { database: name })
  for (const id of ['made', 'adopted']) {
    await tenantry.with(id, async (manager) => {
      for (const forgery of forgeries) {
        expect(await errorOf(manager.query(forgery)), `${id}: ${forgery}`).toMatchObject({ code: '42501' })
      }
      expect(await manager.query('select name from migrations')).toEqual([{ name: 'Users1700000000000' }])
    })
    expect(await tenantry.tenants.check(id)).toMatchObject({ outcome: 'matches', privileges: [] })
  }
})
