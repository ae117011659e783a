import { expect, it } from 'vitest'
import { createProvisioner } from '../isolation/support.ts'
import { deploy, inSync, statusOf } from '../models/prisma/engine.ts'
import { addMigrations, historyIn, migrationsFolder, prismaOf } from '../models/prisma/folders.ts'
import { serverUrl } from '../support/server.ts'
import { namesOf, openTestTenantry } from '../support/tenants.ts'

const users = 'CREATE TABLE "users" ("id" INT PRIMARY KEY, "name" TEXT);'

it("brings tenants to Prisma's later migrations, and Prisma's engine agrees", async () => {
  const folder = await migrationsFolder({ '20261101_users': users })
  const postgres = { url: serverUrl(await createProvisioner()) }
  const older = await openTestTenantry(prismaOf(folder), { postgres })
  const { installation } = older
  await older.onboard('a')
  await addMigrations(folder, {
    '20261102_email': '-- AlterTable\nALTER TABLE "users" ADD COLUMN "email" TEXT;',
    '20261103_index': '-- CreateIndex\nCREATE INDEX CONCURRENTLY "email" ON "users" ("email");',
  })
  const newer = await openTestTenantry(prismaOf(folder), { installation, postgres })
  const plan = await newer.rollouts.plan()
  expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
  expect(plan.from[0]?.steps.map(({ migration, sql }) => [migration, sql.slice(0, 35)])).toEqual([
    ['20261102_email', 'ALTER TABLE "users" ADD COLUMN "ema'],
    ['20261102_email', 'insert into "public"."_prisma_migra'],
    ['20261103_index', 'CREATE INDEX "email" ON "users" ("e'],
    ['20261103_index', 'insert into "public"."_prisma_migra'],
  ])
  expect(await newer.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
  expect(await newer.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
  const { inService } = await namesOf(newer, 'a')
  expect(await historyIn(inService)).toHaveLength(3)
  expect(await statusOf(inService, folder)).toEqual(inSync)
  expect(await deploy(inService, folder)).toEqual([])
})

it("accepts a tenant that Prisma's engine has brought to a later migration", async () => {
  const folder = await migrationsFolder({ '20261101_users': users })
  const older = await openTestTenantry(prismaOf(folder))
  const { installation } = older
  const { tenant } = await older.onboard('a')
  await addMigrations(folder, { '20261102_email': 'ALTER TABLE "users" ADD COLUMN "email" TEXT;' })
  const newer = await openTestTenantry(prismaOf(folder), { installation })
  expect(await deploy(tenant.database, folder)).toEqual(['20261102_email'])
  await newer.tenants.accept('a')
  expect(await newer.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
})
