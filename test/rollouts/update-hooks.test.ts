import { Client } from 'pg'
import type { Tenant } from 'tenantry'
import { describe, expect, it, onTestFinished } from 'vitest'
import { quote, serverUrl, sql } from '../support/server.ts'
import { namesOf } from '../support/tenants.ts'
import { firstVersion, hazards, inTenant, notes, versionsOf, withTag } from './support.ts'

const unique = 'create table note (id int primary key, text text not null unique)'

describe('a hook of an update', () => {
  it('corrects rows before the tables change, and fills them afterwards', async () => {
    const { first, nextWith } = await firstVersion(['a', 'b'], notes)
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'x'), (2, 'x')`))
    const seen: { readonly hook: string; readonly tenant: Tenant; readonly current: string | undefined }[] = []
    const who: object[] = []
    const second = await nextWith(
      {
        beforeUpdate: async (pool, tenant) => {
          seen.push({ hook: 'before', tenant, current: second.currentTenant() })
          await pool.query('delete from note n using note m where n.text = m.text and n.id > m.id')
          who.push(...(await pool.query('select session_user::text as session, current_user::text as user')).rows)
        },
        afterUpdate: async (pool, tenant) => {
          seen.push({ hook: 'after', tenant, current: second.currentTenant() })
          await pool.query(`update note set tag = upper(text)`)
        },
      },
      `${unique.slice(0, -1)}, tag text)`,
    )
    const plan = await second.rollouts.plan()
    expect(seen).toEqual([])
    const { installation } = second
    const started = await second.rollouts.start(plan, { allow: hazards(plan), concurrency: 1 })
    expect(started).toMatchObject({ outcome: 'done', changed: 2, failures: [] })
    expect(await versionsOf(second)).toEqual({ a: 2, b: 2 })
    expect(await inTenant(second, 'a', 'select * from note')).toEqual([{ id: 1, text: 'x', tag: 'X' }])
    for (const id of ['a', 'b']) {
      const own = seen.filter(({ tenant }) => tenant.id === id)
      expect(own.map(({ hook }) => hook)).toEqual(['before', 'after'])
      expect(own.map(({ tenant, current }) => [tenant.version, current])).toEqual([
        [1, id],
        [1, id],
      ])
    }
    expect(who).toHaveLength(2)
    for (const roles of who) {
      expect(roles).toMatchObject({ user: `${installation}_objects` })
      expect(roles).toHaveProperty('session', expect.stringMatching(/_r_h_[0-9a-f]{32}_[0-9a-f]{8}$/))
    }
    const helpers = await sql('select from pg_roles where starts_with(rolname, $1)', [`${installation}_r_h_`])
    expect(helpers).toEqual([])
    for (const id of ['a', 'b'])
      expect(await second.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches' })
  })

  it('keeps a tenant as it is if it fails before the change, and is repeated', async () => {
    const { nextWith } = await firstVersion(['a', 'b'], notes)
    const runs: string[] = []
    const broken = new Set(['a'])
    const second = await nextWith(
      {
        beforeUpdate: (_, { id }) => {
          runs.push(id)
          if (broken.has(id)) throw new Error('not yet')
        },
      },
      withTag,
    )
    const plan = await second.rollouts.plan()
    const started = await second.rollouts.start(plan)
    expect(started).toMatchObject({ changed: 1, failures: [{ tenant: 'a', error: { code: 'hook-failed' } }] })
    expect(started.failures[0]!.error.message).toBe('beforeUpdate failed for the tenant a: not yet')
    expect(started.failures[0]!.error.hint).toMatch(/^The tenant keeps its version\. Fix beforeUpdate/)
    expect(await inTenant(second, 'a', `select from information_schema.columns where column_name = 'tag'`)).toEqual([])
    broken.clear()
    expect(await second.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
    expect(runs.toSorted((one, other) => one.localeCompare(other))).toEqual(['a', 'a', 'b'])
    expect(await versionsOf(second)).toEqual({ a: 2, b: 2 })
  })

  it('that fails after the change is repeated alone, and then the version is recorded', async () => {
    const { nextWith } = await firstVersion(['a'], notes)
    const runs: string[] = []
    const second = await nextWith(
      {
        beforeUpdate: () => void runs.push('before'),
        afterUpdate: async (pool) => {
          runs.push('after')
          await pool.query(`select tag from note`)
          if (runs.length === 2) throw new Error('not yet')
        },
      },
      withTag,
    )
    const plan = await second.rollouts.plan()
    const failed = await second.rollouts.start(plan)
    expect(failed).toMatchObject({ changed: 0, failures: [{ tenant: 'a', error: { code: 'hook-failed' } }] })
    expect(await versionsOf(second)).toEqual({ a: 1 })
    await second.rollouts.retry()
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
    expect(runs).toEqual(['before', 'after', 'after'])
    expect(await versionsOf(second)).toEqual({ a: 2 })
  })

  it('that waits for a lock of the tenant is tried again, and halts no rollout', async () => {
    const { first, nextWith } = await firstVersion(['a'], notes)
    const { user, database, password } = await first.tenants.credentials('a')
    const holder = new Client({ connectionString: serverUrl({ user, database, password: password.reveal() }) })
    await holder.connect()
    onTestFinished(() => holder.end())
    await holder.query('select pg_advisory_lock(1)')
    let runs = 0
    const second = await nextWith(
      {
        afterUpdate: async (pool) => {
          if (++runs === 2) await holder.query('select pg_advisory_unlock(1)')
          await pool.query('set lock_timeout = 50; select pg_advisory_lock(1)')
        },
      },
      withTag,
    )
    const started = await second.rollouts.start(await second.rollouts.plan(), { haltAfter: 1 })
    expect(started).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
    expect(runs).toBe(2)
  })

  it('ends what a process left that was stopped in it', async () => {
    const { first, nextWith, provisioner } = await firstVersion(['a'], notes)
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'x')`))
    const { installation } = first
    const { rowId, inService } = await namesOf(first, 'a')
    const left = `${installation}_r_h_${rowId.replaceAll('-', '')}_00000000`
    await sql(`create role ${quote(left)} login password 'left' in role ${quote(`${installation}_objects`)}`)
    await sql(`grant ${quote(left)} to ${quote(provisioner.user)} with admin option`)
    await sql(`grant connect on database ${quote(inService)} to ${quote(left)}`)
    const holder = new Client({ connectionString: serverUrl({ user: left, database: inService, password: 'left' }) })
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    holder.on('error', () => undefined).on('end', resolve)
    await holder.connect()
    await holder.query(`set role ${quote(`${installation}_objects`)}; begin; update note set text = 'lost'`)
    const second = await nextWith({ beforeUpdate: (pool) => pool.query(`update note set text = 'y'`) }, withTag)
    const started = await second.rollouts.start(await second.rollouts.plan())
    expect(started).toMatchObject({ outcome: 'done', changed: 1, failures: [] })
    await ended
    expect(await inTenant(second, 'a', 'select text from note')).toEqual([{ text: 'y' }])
    expect(await sql('select from pg_roles where starts_with(rolname, $1)', [left])).toEqual([])
  })

  it('does not become the provisioner through a trigger', async () => {
    const { nextWith } = await firstVersion(['a'], notes)
    const second = await nextWith({ beforeUpdate: (pool) => pool.query(`insert into note values (1, 'x')`) }, withTag)
    const plan = await second.rollouts.plan()
    await inTenant(
      second,
      'a',
      `create function escape() returns trigger language plpgsql as $f$
       begin
         perform set_config('role', 'none', false);
         new.text := current_user;
         return new;
       end $f$;
       create trigger escape before insert on note for each row execute function escape()`,
    )
    // The trigger is a difference.
    const started = await second.rollouts.start(plan)
    expect(started.failures).toMatchObject([{ tenant: 'a', error: { code: 'verification-failed' } }])
    const [row] = await inTenant<{ text: string }>(second, 'a', 'select text from note')
    expect(row?.text).toContain(`${second.installation}_r_h_`)
  })
})
