import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { kysely, kyselyMigrations } from 'tenantry/kysely'
import { expect, it } from 'vitest'
import { openTestTenantry } from '../support/tenants.ts'
import { hazards } from './support.ts'

interface Tables {
  readonly note: { readonly id: number; readonly text: string }
}

const models = (migrations: Readonly<Record<string, Migration>>) => ({
  schema: kyselyMigrations({ getMigrations: async () => ({ ...migrations }) }),
  handles: kysely<Tables>(),
})

it("brings tenants to Kysely's later migrations, by the statements that they send", async () => {
  const first = {
    '1_note': {
      up: (db: Kysely<unknown>) =>
        db.schema.createTable('note').addColumn('id', 'integer').addColumn('text', 'text').execute(),
    },
  }
  const older = await openTestTenantry(models(first))
  await older.onboard('a')
  await older.with('a', (db) => db.insertInto('note').values({ id: 1, text: 'X' }).execute())
  const second = {
    '2_tag': {
      up: async (db: Kysely<unknown>) => {
        await db.schema.alterTable('note').addColumn('tag', 'text').execute()
        await sql`update note set tag = lower(text) where text = ${'X'}`.execute(db)
      },
    },
  }
  const newer = await openTestTenantry(models({ ...first, ...second }), { installation: older.installation })
  const plan = await newer.rollouts.plan()
  expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
  expect(plan.from[0]?.steps.slice(0, 2)).toMatchObject([
    { migration: '2_tag', sql: 'alter table "note" add column "tag" text' },
    { migration: '2_tag', sql: `update note set tag = lower(text) where text = 'X'` },
  ])
  expect(await newer.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 1, failures: [] })
  expect(await newer.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
  const tags = await newer.with('a', (db) =>
    db
      .selectFrom('note')
      .select(sql`tag`.as('tag'))
      .execute(),
  )
  expect(tags).toEqual([{ tag: 'x' }])
  // It is not planned again.
  const rest = await newer.with('a', (db) => sql`select name from kysely_migration order by name`.execute(db))
  expect(rest.rows).toEqual([{ name: '1_note' }, { name: '2_tag' }])
})
