import { EntitySchema } from 'typeorm'
import { typeorm } from 'tenantry/typeorm'
import { expect, it } from 'vitest'
import { longHistory } from '../models/typeorm/long-history.ts'
import { migration, modelsOf, nothingPending, runMigrations } from '../models/typeorm/run-migrations.ts'
import { existingDatabase } from '../start-up/support.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { hazards } from './support.ts'

const note = new EntitySchema<{ id: number }>({
  name: 'Note',
  tableName: 'note',
  columns: { id: { type: 'int', primary: true } },
})
const tagged = new EntitySchema<{ id: number; key: string; initial: string }>({
  name: 'Note',
  tableName: 'note',
  columns: {
    id: { type: 'int', primary: true },
    key: { type: 'uuid', generated: 'uuid' },
    initial: { type: 'text', asExpression: `left("key"::text, 1)`, generatedType: 'STORED' },
  },
})

it("brings tenants to TypeORM's later migrations, with the extension and the table that TypeORM makes before them", async () => {
  const first = migration('Note1700000000000', 'CREATE TABLE "note" ("id" integer NOT NULL, PRIMARY KEY ("id"))')
  const second = migration('Key1700000000001', async (runner) => {
    await runner.query(`ALTER TABLE "note" ADD "key" uuid NOT NULL DEFAULT uuid_generate_v4()`)
    await runner.query(
      `INSERT INTO "typeorm_metadata"("database", "schema", "table", "type", "name", "value") VALUES ($1, $2, $3, $4, $5, $6)`,
      ['tenant', 'public', 'note', 'GENERATED_COLUMN', 'initial', `left("key"::text, 1)`],
    )
    await runner.query(
      `ALTER TABLE "note" ADD "initial" text GENERATED ALWAYS AS (left("key"::text, 1)) STORED NOT NULL`,
    )
  })
  const older = await openTestTenantry(typeorm({ entities: [note], migrations: [first] }))
  await older.onboard('a')
  await older.with('a', (manager) => manager.insert(note, { id: 1 }))
  const options = { entities: [tagged], migrations: [first, second] }
  const newer = await openTestTenantry(typeorm(options), { installation: older.installation })
  const plan = await newer.rollouts.plan()
  expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
  expect(plan.from[0]?.steps).toContainEqual(
    expect.objectContaining({ migration: 'Key1700000000001', sql: expect.stringContaining('ADD "key" uuid') }),
  )
  expect(await newer.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 1, failures: [] })
  expect(await newer.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
  const [found] = await newer.with('a', (manager) => manager.find(tagged))
  expect(found).toEqual({ id: 1, key: expect.any(String), initial: found?.key.slice(0, 1) })
  const tenant = await newer.tenants.get('a')
  expect(await runMigrations(tenant!.database, options.migrations, { entities: [tagged] })).toEqual(nothingPending)
})

it('applies the rest of a long history to tenants that TypeORM and Tenantry brought to its middle', async () => {
  const half = longHistory.slice(0, 60)
  const { name } = await existingDatabase()
  expect((await runMigrations(name, half)).applied).toHaveLength(60)
  const older = await openTestTenantry(modelsOf(half))
  await older.onboard('made')
  await older.tenants.adopt('adopted', { database: name })
  const newer = await openTestTenantry(modelsOf(longHistory), { installation: older.installation })
  const plan = await newer.rollouts.plan()
  expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
  expect(await newer.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 2, failures: [] })
  for (const id of ['made', 'adopted']) {
    expect(await newer.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
    const tenant = await newer.tenants.get(id)
    expect(await runMigrations(tenant!.database, longHistory)).toEqual(nothingPending)
  }
})
