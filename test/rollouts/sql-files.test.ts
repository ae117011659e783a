import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { handlesOver } from 'tenantry'
import { pgPool } from 'tenantry/postgres'
import { sqlFiles } from 'tenantry/sql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { errorOf } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'
import { hazards, notes } from './support.ts'

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

const models = (folder: string) => ({ schema: sqlFiles(folder), handles: handlesOver(pgPool) })
const files = { '1_note.sql': `${notes};` }

describe('migrations in SQL files', () => {
  it('are applied to every tenant as they are pending, with their data steps', async () => {
    const first = await openTestTenantry(models(await folderWith(files)))
    await first.onboard('a')
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'X')`))
    const { installation } = first
    const more = {
      ...files,
      '2_tag.sql': 'alter table note add tag text;\nupdate note set tag = lower(text) where tag is null;\n',
      '3_more.sql': 'create index note_tag on note (tag);',
    }
    const second = await openTestTenantry(models(await folderWith(more)), { installation })
    const plan = await second.rollouts.plan()
    expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
    expect(plan.from[0]?.steps.map(({ migration }) => migration)).toContain('2_tag.sql')
    expect(hazards(plan)).toEqual(['change-rows:note'])
    expect(await second.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 1, failures: [] })
    expect(await second.with('a', async (pool) => (await pool.query('select tag from note')).rows)).toEqual([
      { tag: 'x' },
    ])
    // A tenant that is made now, and one that was brought there, have the same history.
    await second.onboard('b')
    expect(await second.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches' })
    const third = await openTestTenantry(models(await folderWith({ ...more, '4.sql': 'drop index note_tag;' })), {
      installation,
    })
    const next = await third.rollouts.plan()
    expect(next.from[0]?.steps.filter(({ migration }) => migration !== '4.sql')).toEqual([])
    expect(await third.rollouts.start(next)).toMatchObject({ changed: 2, failures: [] })
  })

  it("are applied as a tool's, whose history no tenant can write", async () => {
    const layout = { layout: 'dbmate' } as const
    const dbmate = (folder: string) => ({ schema: sqlFiles(folder, layout), handles: handlesOver(pgPool) })
    const note = { '1_note.sql': `-- migrate:up\n${notes};\n-- migrate:down\ndrop table note;\n` }
    const first = await openTestTenantry(dbmate(await folderWith(note)))
    await first.onboard('a')
    const index = {
      '2_tag.sql': '-- migrate:up\nalter table note add tag text;\n-- migrate:down\n',
      '3_index.sql':
        '-- migrate:up transaction:false\ncreate index concurrently note_tag on note (tag);\n-- migrate:down\n',
    }
    const { installation } = first
    const second = await openTestTenantry(dbmate(await folderWith({ ...note, ...index })), { installation })
    const plan = await second.rollouts.plan()
    expect(plan.from).toMatchObject([{ planner: 'migrations', left: [] }])
    expect(plan.from[0]?.steps.map(({ migration, sql }) => [migration, sql])).toEqual([
      ['2_tag.sql', 'alter table note add tag text'],
      ['2_tag.sql', `insert into "public"."schema_migrations" (version) values ('2')`],
      ['3_index.sql', 'create index note_tag on note (tag)'],
      ['3_index.sql', `insert into "public"."schema_migrations" (version) values ('3')`],
    ])
    // In a large table the index is made concurrently.
    expect(plan.from[0]?.steps[2]?.locks).toContainEqual({ table: 'public.note', mode: 'SHARE' })
    expect(plan.from[0]?.steps[2]?.online?.prepare).toMatchObject([
      { sql: 'CREATE INDEX CONCURRENTLY note_tag ON public.note USING btree (tag)' },
    ])
    const large = { allow: hazards(plan), largeTableBytes: 1 }
    expect(await second.rollouts.start(plan, large)).toMatchObject({ changed: 1, failures: [] })
    expect(await second.tenants.check('a', { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
    const forging = second.with('a', (pool) => pool.query('delete from schema_migrations'))
    expect(await errorOf(forging)).toMatchObject({ code: '42501' })
  })

  it('that were edited after a tenant had them are refused', async () => {
    const first = await openTestTenantry(models(await folderWith(files)))
    await first.onboard('a')
    const edited = await folderWith({ '1_note.sql': `${notes} ;`, '2_tag.sql': 'alter table note add tag text;' })
    const second = await openTestTenantry(models(edited), { installation: first.installation })
    expect(await errorOf(second.rollouts.plan())).toMatchObject({ code: 'schema-conflict' })
  })
})
