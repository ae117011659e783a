import { expect, it } from 'vitest'
import { existingDatabase } from '../../start-up/support.ts'
import { errorOf } from '../../support/server.ts'
import { openTestTenantry } from '../../support/tenants.ts'
import { deploy } from './engine.ts'
import { migrationsFolder, prismaOf } from './folders.ts'

const forgeries = [
  `insert into _prisma_migrations (id, checksum, migration_name) values ('x', 'x', 'x')`,
  `update _prisma_migrations set checksum = 'x'`,
  'delete from _prisma_migrations',
  'truncate _prisma_migrations',
  'drop table _prisma_migrations',
]

it("a tenant's role reads its history and does not write it, however its database was made", async () => {
  const folder = await migrationsFolder({ '20261101_users': 'CREATE TABLE "users" ("id" INT PRIMARY KEY);' })
  const tenantry = await openTestTenantry(prismaOf(folder))
  const { name } = await existingDatabase()
  await deploy(name, folder)
  await tenantry.onboard('made')
  await tenantry.tenants.adopt('adopted', { database: name })
  for (const id of ['made', 'adopted']) {
    await tenantry.with(id, async (client) => {
      for (const forgery of forgeries) {
        expect(await errorOf(client.$executeRawUnsafe(forgery)), `${id}: ${forgery}`).toMatchObject({
          message: expect.stringMatching(/42501|permission denied|must be owner/),
        })
      }
      expect(await client.$queryRaw`select checksum from _prisma_migrations`).toHaveLength(1)
    })
    expect(await tenantry.tenants.check(id)).toMatchObject({ outcome: 'matches', privileges: [] })
  }
})
