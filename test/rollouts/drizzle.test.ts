import { drizzle } from 'tenantry/drizzle'
import { expect, it } from 'vitest'
import { createProvisioner } from '../isolation/support.ts'
import { historyIn, journalFolder, migrateByDrizzle, writeJournal } from '../models/drizzle/folders.ts'
import { serverUrl } from '../support/server.ts'
import { namesOf, openTestTenantry } from '../support/tenants.ts'

it("brings tenants to Drizzle's later migrations, and Drizzle's migrator agrees", async () => {
  const first = { '0000_users': 'CREATE TABLE "users" ("id" integer PRIMARY KEY, "name" text);' }
  const folder = await journalFolder(first)
  const postgres = { url: serverUrl(await createProvisioner()) }
  const older = await openTestTenantry(drizzle({ migrations: folder }), { postgres })
  const { installation } = older
  await older.onboard('a')
  await writeJournal(folder, {
    ...first,
    '0001_email':
      'ALTER TABLE "users" ADD COLUMN "email" text;\n--> statement-breakpoint\nCREATE INDEX "email" ON "users" ("email");',
  })
  const newer = await openTestTenantry(drizzle({ migrations: folder }), { installation, postgres })
  const plan = await newer.rollouts.plan()
  expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
  expect(plan.from[0]?.steps.flatMap(({ hazards }) => hazards)).toEqual([])
  expect(await newer.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
  expect(await newer.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
  const { inService } = await namesOf(newer, 'a')
  const history = await historyIn(inService)
  expect(history).toHaveLength(2)
  await migrateByDrizzle(inService, folder)
  expect(await historyIn(inService)).toEqual(history)
})
