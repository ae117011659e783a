import { drizzle } from 'tenantry/drizzle'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { expect, it } from 'vitest'
import { createProvisioner } from '../isolation/support.ts'
import { historyIn, journalFolder, migrateByDrizzle, writeJournal } from '../models/drizzle/folders.ts'
import { errorOf, serverUrl } from '../support/server.ts'
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

it('plans no way from a version without a history, and protects the history of one that is given', async () => {
  const users = pgTable('users', { id: integer().primaryKey(), name: text() })
  const postgres = { url: serverUrl(await createProvisioner()) }
  const older = await openTestTenantry(drizzle({ schema: { users } }), { postgres })
  await older.onboard('a')
  const folder = await journalFolder({ '0000_users': 'CREATE TABLE "users" ("id" integer PRIMARY KEY, "name" text);' })
  const newer = await openTestTenantry(drizzle({ migrations: folder }), { installation: older.installation, postgres })
  expect((await newer.rollouts.plan()).from[0]?.left).toContain('the older version has no history of migrations')
  await newer.onboard('b')
  const { inService: like } = await namesOf(newer, 'b')
  const [row] = await historyIn(like)
  const steps = [
    'create schema drizzle',
    'create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)',
    `insert into drizzle.__drizzle_migrations (hash, created_at) values ('${String(row?.['hash'])}', ${String(row?.['created_at'])})`,
  ]
  const plan = await newer.rollouts.plan({ steps })
  expect(plan.from).toMatchObject([{ planner: 'given', left: [] }])
  expect(await newer.rollouts.start(plan)).toMatchObject({ changed: 1, failures: [] })
  const forging = newer.with('a', (db) =>
    db.execute(`insert into drizzle.__drizzle_migrations (hash) values ('forged')`),
  )
  expect(await errorOf(forging)).toMatchObject({ cause: { code: '42501' } })
})
