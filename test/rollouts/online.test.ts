import { describe, expect, it } from 'vitest'
import { firstVersion, hazards, inTenant, type PlainTenantry, versionsOf } from './support.ts'

const changes = [
  'create table author (id int primary key)',
  `create table note (
     id int primary key, text text not null, author_id int, code text not null unique,
     constraint short check (length(text) < 100),
     constraint note_author foreign key (author_id) references author (id))`,
  'create index note_text on note (text)',
]
const earlier = 'create table note (id int primary key, text text not null, code text)'

describe('a plan', () => {
  it('has the online form of each step that reads a table', async () => {
    const { next } = await firstVersion(['a'], earlier)
    const plan = await (await next(...changes)).rollouts.plan()
    const [{ steps, left } = { steps: [], left: ['no version'] }] = plan.from
    expect(left).toEqual([])
    const forms = steps.map(({ sql, online }) => [sql, online?.prepare.map((part) => part.sql), online?.finish])
    expect(forms).toMatchInlineSnapshot(`
      [
        [
          "create table author (id int primary key)",
          [
            "create table author (id int primary key)",
          ],
          [],
        ],
        [
          "create index note_text on note (text)",
          [
            "CREATE INDEX CONCURRENTLY note_text ON public.note USING btree (text)",
          ],
          [],
        ],
        [
          "alter table "public"."note" add constraint "short" CHECK ((length(text) < 100))",
          [
            "alter table "public"."note" add constraint "short" CHECK ((length(text) < 100)) NOT VALID",
            "alter table "public"."note" validate constraint "short"",
          ],
          [],
        ],
        [
          "alter table "public"."note" add column "author_id" integer",
          [
            "alter table "public"."note" add column "author_id" integer",
          ],
          [],
        ],
        [
          "alter table "public"."note" add constraint "note_author" FOREIGN KEY (author_id) REFERENCES public.author(id)",
          [
            "alter table "public"."note" add constraint "note_author" FOREIGN KEY (author_id) REFERENCES public.author(id) NOT VALID",
            "alter table "public"."note" validate constraint "note_author"",
          ],
          [],
        ],
        [
          "alter table "public"."note" add constraint "note_code_key" UNIQUE (code)",
          [
            "create unique index concurrently "note_code_key" on "public"."note" (code)",
          ],
          [
            "alter table "public"."note" add constraint "note_code_key" unique using index "note_code_key"",
          ],
        ],
        [
          "alter table "public"."note" alter column "code" set not null",
          [
            "alter table "public"."note" add constraint "tenantry_not_null_8471323fa8b38e57" CHECK (("code" IS NOT NULL)) NOT VALID",
            "alter table "public"."note" validate constraint "tenantry_not_null_8471323fa8b38e57"",
          ],
          [
            "alter table "public"."note" alter column "code" set not null",
            "alter table "public"."note" drop constraint "tenantry_not_null_8471323fa8b38e57"",
          ],
        ],
      ]
    `)
  })

  it('has none where no step reads a table that has rows, or one does more than that', async () => {
    const { next } = await firstVersion(['a'], earlier)
    for (const statement of [
      'create table note (id int primary key, text text not null, code text, tag text)',
      'create table note (id bigint primary key, text text not null, code text)',
      'create table note (id int primary key, text text not null)',
    ]) {
      const [version] = (await (await next(statement)).rollouts.plan()).from
      expect(version).toMatchObject({ left: [] })
      expect(version?.steps.filter(({ online }) => online !== undefined)).toEqual([])
    }
  })

  it('has none that does not lead to the desired version', async () => {
    const { next } = await firstVersion(['a'], earlier, 'create index note_text on note (code)')
    // An index of that name exists until a step drops it, which is no preparation.
    const second = await next(earlier, 'create index note_text on note (text)')
    const [version] = (await second.rollouts.plan()).from
    expect(version).toMatchObject({ left: [] })
    expect(version?.steps.filter(({ online }) => online !== undefined)).toEqual([])
    expect(await second.rollouts.start(await second.rollouts.plan(), { largeTableBytes: 1 })).toMatchObject({
      changed: 1,
    })
  })
})

/** The indexes and constraints of the table `note`, with those that are not valid marked. */
async function partsOf(tenantry: PlainTenantry, id: string): Promise<readonly string[]> {
  const rows = await inTenant<{ part: string }>(
    tenantry,
    id,
    `select c.relname || case when i.indisvalid then '' else ' (invalid)' end as part
     from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = 'public.note'::regclass
     union select conname || case when convalidated then '' else ' (not valid)' end
     from pg_constraint where conrelid = 'public.note'::regclass and contype in ('c', 'f', 'u') order by part`,
  )
  return rows.map(({ part }) => part)
}

const all = { largeTableBytes: 1 }

describe('a tenant with a large table', () => {
  it('is prepared, and changed in one transaction, with its rows', async () => {
    const { first, next } = await firstVersion(['a', 'b'], earlier)
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'kept', 'x')`))
    const second = await next(...changes)
    const plan = JSON.parse(JSON.stringify(await second.rollouts.plan()))
    expect(await second.rollouts.start(plan, { ...all, allow: hazards(plan) })).toMatchObject({
      outcome: 'done',
      changed: 2,
    })
    for (const id of ['a', 'b']) {
      expect(await second.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
    }
    expect(await second.with('a', async (pool) => (await pool.query('select * from note')).rows)).toEqual([
      { id: 1, text: 'kept', code: 'x', author_id: null },
    ])
    expect(await partsOf(second, 'a')).toEqual(['note_author', 'note_code_key', 'note_pkey', 'note_text', 'short'])
  })

  it('keeps its version and what was prepared if its rows are in the way, and goes on from there', async () => {
    const { first, next } = await firstVersion(['a', 'b', 'c'], earlier)
    const insert = (id: string, rows: string) => first.with(id, (pool) => pool.query(`insert into note values ${rows}`))
    await insert('a', `(1, 'x', null)`)
    await insert('b', `(1, 'x', 'same'), (2, 'x', 'same')`)
    const second = await next(...changes)
    const plan = await second.rollouts.plan()
    const started = { ...all, allow: hazards(plan) }
    const result = await second.rollouts.start(plan, started)
    expect(result).toMatchObject({ outcome: 'done', changed: 1 })
    expect(Object.fromEntries(result.failures.map(({ tenant, error }) => [tenant, error.sqlState]))).toEqual({
      a: '23514',
      b: '23505',
    })
    expect(await versionsOf(second)).toEqual({ a: 1, b: 1, c: 2 })
    // Nothing is left half-made: the failed index and check were dropped.
    expect(await partsOf(second, 'a')).toEqual(['note_author', 'note_code_key', 'note_pkey', 'note_text', 'short'])
    expect(await partsOf(second, 'b')).toEqual(['note_author', 'note_pkey', 'note_text', 'short'])
    // Code of the old version goes on.
    await first.with('b', (pool) => pool.query(`insert into note values (3, 'y', 'z')`))
    await inTenant(second, 'a', `update note set code = 'y'`)
    await inTenant(second, 'b', 'delete from note where id = 2')
    // Also as a tenant whose tables are small.
    expect(await second.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 2, failures: [] })
    for (const id of ['a', 'b']) {
      expect(await second.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches', privileges: [] })
    }
  })

  it('loses the index that an interrupted attempt left, and gets a valid one', async () => {
    const { next } = await firstVersion(['a'], earlier)
    const second = await next(earlier, 'create index note_text on note (text)')
    const plan = await second.rollouts.plan()
    await inTenant(second, 'a', 'create index note_text on note (text)')
    await inTenant(second, 'a', `update pg_index set indisvalid = false where indexrelid = 'note_text'::regclass`)
    expect(await second.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 1 })
    expect(await partsOf(second, 'a')).toEqual(['note_pkey', 'note_text'])
  })

  it('is written to while an index waits for an open transaction, which nothing ends', async () => {
    const { next, first } = await firstVersion(['a'], earlier)
    const second = await next(earlier, 'create index note_text on note (text)')
    const plan = await second.rollouts.plan()
    const running = first.with('a', async (pool) => {
      const writer = await pool.connect()
      await writer.query(`begin; insert into note values (1, 'x', 'x')`)
      const rollout = second.rollouts.start(plan, all)
      // Longer than the administration of tenants waits for one that is hostile.
      const waiting = `select from pg_stat_activity where wait_event_type = 'Lock'
        and query like 'CREATE INDEX CONCURRENTLY%' and clock_timestamp() - query_start > interval '2 s'`
      await expect.poll(() => inTenant(second, 'a', waiting)).toHaveLength(1)
      await pool.query(`insert into note values (2, 'y', 'y')`)
      await writer.query('commit')
      writer.release()
      return rollout
    })
    expect(await running).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
    expect(await partsOf(second, 'a')).toEqual(['note_pkey', 'note_text'])
  })

  it('has no step that rows or functions of an earlier one decide run before it', async () => {
    const { first, next } = await firstVersion(['a'], earlier, norm('lower'))
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'x', null), (2, 'Y', 'AB')`))
    const second = await next(
      'create table note (id int primary key, text text not null, code text not null)',
      norm('upper'),
      'create index note_norm on note (norm(code))',
    )
    const steps = [
      `update note set code = 'ab' where code is null`,
      'alter table note alter column code set not null',
      norm('upper').replace('create', 'create or replace'),
      'create index note_norm on note (norm(code))',
    ]
    const plan = await second.rollouts.plan({ steps })
    expect(plan.from[0]?.steps.filter(({ online }) => online !== undefined)).toEqual([])
    const result = await second.rollouts.start(plan, { ...all, allow: hazards(plan) })
    expect(result).toMatchObject({ changed: 1, failures: [] })
    const found = `select id from note where norm(code) = 'AB' order by id`
    expect(await inTenant(second, 'a', found)).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('goes on with what was prepared, also where its tables count as small', async () => {
    const { first, next } = await firstVersion(['a'], earlier)
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'x', 'a'), (2, 'x', 'b')`))
    const second = await next('create table note (id int primary key, text text not null unique, code text not null)')
    const steps = ['alter table note alter column code set not null', 'alter table note add unique (text)']
    const plan = await second.rollouts.plan({ steps })
    const allow = hazards(plan)
    const result = await second.rollouts.start(plan, { ...all, allow })
    expect(result.failures.map(({ error }) => error.sqlState)).toEqual(['23505'])
    expect(await partsOf(second, 'a')).toEqual(['note_pkey', expect.stringMatching(/^tenantry_not_null_/)])
    await inTenant(second, 'a', 'delete from note where id = 2')
    expect(await second.rollouts.start(plan, { allow })).toMatchObject({ changed: 1, failures: [] })
    expect(await partsOf(second, 'a')).toEqual(['note_pkey', 'note_text_key'])
  })

  it('is prepared no further once the signal is aborted', async () => {
    const { next, first } = await firstVersion(['a'], earlier)
    const second = await next(earlier, 'create index note_text on note (text)')
    const plan = await second.rollouts.plan()
    const stop = new AbortController()
    await first.with('a', async (pool) => {
      const writer = await pool.connect()
      await writer.query(`begin; insert into note values (1, 'x', 'x')`)
      const rollout = second.rollouts.start(plan, { ...all, signal: stop.signal })
      const building = `select from pg_stat_activity where query like 'CREATE INDEX CONCURRENTLY%' and state = 'active'`
      await expect.poll(() => inTenant(second, 'a', building)).toHaveLength(1)
      stop.abort()
      expect(await rollout).toMatchObject({ outcome: 'stopped', changed: 0 })
      await expect.poll(() => inTenant(second, 'a', building)).toEqual([])
      await writer.query('rollback')
      writer.release()
    })
    expect(await second.rollouts.start(plan, all)).toMatchObject({ changed: 1, failures: [] })
    expect(await partsOf(second, 'a')).toEqual(['note_pkey', 'note_text'])
  })
})

/** A function that an index can have. */
const norm = (by: string) => `create function norm(text) returns text immutable language sql as $$ select ${by}($1) $$`
