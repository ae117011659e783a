import { Client } from 'pg'
import { openTenantry, type RolloutPlan } from 'tenantry'
import { postgres } from 'tenantry/postgres'
import { describe, expect, it, onTestFinished } from 'vitest'
import { errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { modelsOf } from '../support/statements.ts'
import { commentOn, inCatalog, namesOf, onChange, openTestTenantry } from '../support/tenants.ts'
import { firstVersion, hazards, inTenant, notes, type PlainTenantry, versionsOf, withTag } from './support.ts'

describe('a rollout', () => {
  it('brings every tenant to the desired version with its rows, also suspended ones', async () => {
    const { first, next } = await firstVersion(['a', 'b', 'c'], notes)
    await first.with('a', (pool) => pool.query(`insert into note values (1, 'kept')`))
    await first.tenants.suspend('b')
    const second = await next(withTag, 'create table tag (id int primary key)')
    const events: unknown[] = []
    onChange(second, (event) => events.push(event))
    const progress: unknown[] = []
    const plan: RolloutPlan = JSON.parse(JSON.stringify(await second.rollouts.plan()))
    const result = await second.rollouts.start(plan, { actor: 'anna', onProgress: (now) => progress.push(now) })
    expect(result).toMatchObject({ outcome: 'done', changed: 3, failures: [], left: 0 })
    expect(progress.at(-1)).toEqual({ changed: 3, failed: 0, total: 3 })
    expect(events).toHaveLength(3)
    expect(events).toContainEqual(
      expect.objectContaining({ verb: 'roll-out', tenant: 'a', from: 'active', to: 'active' }),
    )
    expect(await versionsOf(second)).toEqual({ a: 2, b: 2, c: 2 })
    expect(await second.with('a', async (pool) => (await pool.query('select * from note')).rows)).toEqual([
      { id: 1, text: 'kept', tag: 'none' },
    ])
    // The new table can be used by the tenant, and is not its own.
    expect(await second.with('c', async (pool) => (await pool.query('select * from tag')).rows)).toEqual([])
    for (const id of ['a', 'b', 'c']) {
      const check = await second.tenants.check(id, { exact: true })
      expect(check).toMatchObject({ outcome: 'matches', privileges: [] })
      const { inService } = await namesOf(second, id)
      const { fingerprint } = (await second.tenants.get(id))!
      expect(JSON.parse((await commentOn(inService)) ?? '')).toMatchObject({ fingerprint })
    }
    expect((await second.tenants.history('a'))[0]).toMatchObject({ verb: 'roll-out', actor: 'anna' })
    expect((await second.servers.reconcile()).findings).toEqual([])
    expect((await second.rollouts.plan()).from).toEqual([])
    expect(await second.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 0, failures: [] })
  })

  it('changes only the tenants that are named, and goes on with the rest', async () => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    expect(await second.rollouts.start(plan, { only: ['b'] })).toMatchObject({ outcome: 'done', changed: 1 })
    expect(await versionsOf(second)).toEqual({ a: 1, b: 2 })
    for (const [id, code] of [
      ['c', 'tenant-unknown'],
      ['C!', 'invalid-tenant-id'],
    ] as const) {
      expect(await errorOf(second.rollouts.start(plan, { only: ['a', id] }))).toMatchObject({ code })
      expect(await errorOf(second.rollouts.preflight(plan, { only: ['a', id] }))).toMatchObject({ code })
    }
    expect(await versionsOf(second)).toEqual({ a: 1, b: 2 })
    expect(await second.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 1 })
  })

  it('starts no hazard that is not allowed', async () => {
    const { next } = await firstVersion(['a'], notes)
    const second = await next('create table note (id int primary key)')
    const plan = await second.rollouts.plan()
    const error = await errorOf(second.rollouts.start(plan, { allow: ['drop-column:note.id'] }))
    expect(error).toMatchObject({
      code: 'plan-refused',
      hint: expect.stringContaining('--allow drop-column:note.text'),
    })
    expect(await versionsOf(second)).toEqual({ a: 1 })
    await second.rollouts.start(plan, { allow: ['drop-column:note.text'] })
    expect(await versionsOf(second)).toEqual({ a: 2 })
  })

  it('refuses the plan of another installation, and one that is none', async () => {
    const { next } = await firstVersion(['a'], notes)
    const plan = await (await next(withTag)).rollouts.plan()
    const other = await firstVersion(['a'], notes)
    expect(await errorOf(other.first.rollouts.start(plan))).toMatchObject({ code: 'plan-refused' })
    for (const wrong of [undefined, 1, {}, { ...plan, format: 2 }, { ...plan, from: [{}] }]) {
      const error = await errorOf(other.first.rollouts.start(wrong as never))
      expect(error).toMatchObject({ code: 'invalid-option' })
    }
  })

  it('refuses a plan that leads to a version that is no longer desired', async () => {
    const { next } = await firstVersion(['a'], notes)
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    const third = await next(withTag, 'create table tag (id int primary key)')
    expect(await errorOf(second.rollouts.start(plan))).toMatchObject({ code: 'not-desired' })
    expect(await errorOf(third.rollouts.start(plan))).toMatchObject({ code: 'plan-refused' })
  })

  it('leaves the tenants whose rows are in the way at their version, and changes the others', async () => {
    const ids = ['a', 'b', 'c', 'd']
    const { first, next } = await firstVersion(ids, notes)
    await first.with('b', (pool) => pool.query(`insert into note values (1, 'x'), (2, 'x')`))
    const second = await next('create table note (id int primary key, text text not null unique)')
    const plan = await second.rollouts.plan()
    const result = await second.rollouts.start(plan, { allow: hazards(plan) })
    expect(result).toMatchObject({
      outcome: 'done',
      changed: 3,
      failures: [{ tenant: 'b', server: 'main', error: { sqlState: '23505', tenant: 'b' } }],
    })
    expect(await versionsOf(second)).toEqual({ a: 2, b: 1, c: 2, d: 2 })
    expect(await second.tenants.check('b', { exact: true, against: 'version' })).toMatchObject({ outcome: 'matches' })
    await inTenant(second, 'b', 'delete from note where id = 2')
    expect(await second.rollouts.start(plan, { allow: hazards(plan) })).toMatchObject({ changed: 1, failures: [] })
    expect(await inTenant(second, 'b', 'select id from note')).toEqual([{ id: 1 }])
  })

  it('halts after too many failures', async () => {
    const ids = ['a', 'b', 'c', 'd', 'e']
    const { next, first } = await firstVersion(ids, notes)
    for (const id of ids) await first.with(id, (pool) => pool.query(`insert into note values (1, 'x'), (2, 'x')`))
    const second = await next('create table note (id int primary key, text text not null unique)')
    const plan = await second.rollouts.plan()
    const result = await second.rollouts.start(plan, { allow: hazards(plan), concurrency: 1, haltAfter: 2 })
    expect(result).toMatchObject({ outcome: 'halted', changed: 0, left: 3 })
    expect(result.failures.map(({ tenant }) => tenant)).toEqual(['a', 'b'])
  })

  it.each([
    ['a column', 'alter table note add extra int', 'column note.extra is too much'],
    ['the same column with another default', 'alter table note add tag text', 'column note.tag is too much'],
    ['a dropped column', 'alter table note drop text', 'table note differs'],
  ])('refuses a tenant that was given %s by hand, and leaves it as it is', async (_name, change, words) => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const second = await next(withTag)
    await inTenant(second, 'a', change)
    const { failures, changed } = await second.rollouts.start(await second.rollouts.plan())
    expect({ changed, failures: failures.length, tenant: failures[0]?.tenant }).toEqual({
      changed: 1,
      failures: 1,
      tenant: 'a',
    })
    expect(failures[0]?.error).toMatchObject({ code: 'verification-failed', hint: expect.stringContaining('drift a') })
    expect(String(failures[0]?.error)).toContain(words)
    expect(await versionsOf(second)).toEqual({ a: 1, b: 2 })
  })

  it('leaves tables alone that a tenant has besides those of the models', async () => {
    const { next } = await firstVersion(['a'], notes)
    const second = await next(withTag)
    await inTenant(second, 'a', 'create table own (id int)')
    expect(await second.rollouts.start(await second.rollouts.plan())).toMatchObject({ changed: 1, failures: [] })
    expect(await inTenant(second, 'a', 'select * from own')).toEqual([])
  })

  it('waits shortly for a lock, names its holder, and delays no other tenant', { timeout: 60_000 }, async () => {
    const { next } = await firstVersion(['a', 'b', 'c'], notes)
    const second = await next(withTag)
    const { inService } = await namesOf(second, 'a')
    const client = new Client({ connectionString: serverUrl({ database: inService }) })
    await client.connect()
    onTestFinished(() => client.end())
    await client.query('begin')
    await client.query('select from note')
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const plan = await second.rollouts.plan()
    const result = await second.rollouts.start(plan, { lockTimeoutMs: 50, concurrency: 1, haltAfter: 1 })
    expect(result).toMatchObject({ outcome: 'done', changed: 2, failures: [{ tenant: 'a' }] })
    expect(result.failures[0]?.error).toMatchObject({
      code: 'lock-timeout',
      hint: expect.stringContaining(`session ${rows[0]?.pid} of `),
    })
    await client.query('rollback')
    expect(await second.rollouts.start(plan)).toMatchObject({ changed: 1, failures: [] })
  })

  it('records a tenant that was changed before a crash, and does not change it twice', async () => {
    const { next } = await firstVersion(['a'], notes, 'create table counter (value int)')
    const second = await next(withTag, 'create table counter (value int)')
    const plan = await second.rollouts.plan({
      steps: [`alter table note add tag text default 'none'`, 'insert into counter values (1)'],
    })
    expect(hazards(plan)).toEqual(['change-rows:counter'])
    const allow = hazards(plan)
    await second.rollouts.start(plan, { allow })
    // The catalog does not know of it.
    await inCatalog(second, `update tenantry.tenant set fingerprint = $1`, [plan.from[0]!.fingerprint])
    expect(await versionsOf(second)).toEqual({ a: 1 })
    expect(await second.rollouts.start(plan, { allow })).toMatchObject({ changed: 1, failures: [] })
    expect(await versionsOf(second)).toEqual({ a: 2 })
    expect(await inTenant(second, 'a', 'select value from counter')).toEqual([{ value: 1 }])
  })

  it('stops at the signal, and goes on when it is started again', async () => {
    const { next } = await firstVersion(['a', 'b', 'c', 'd'], notes)
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    const stop = new AbortController()
    const { signal } = stop
    onChange(second, () => stop.abort())
    const result = await second.rollouts.start(plan, { signal, concurrency: 1 })
    expect(result).toMatchObject({ outcome: 'stopped', changed: 1, failures: [], left: 3 })
    expect(await second.rollouts.start(plan)).toMatchObject({ number: result.number, outcome: 'done', changed: 4 })
  })

  it('is one, whatever the number of processes that start it at once', async () => {
    const ids = Array.from({ length: 8 }, (_, i) => `t${i}`)
    const { next } = await firstVersion(ids, notes)
    const [one, other] = [await next(withTag), await next(withTag)]
    const plan = await one.rollouts.plan()
    const results = await Promise.all([one.rollouts.start(plan), other.rollouts.start(plan)])
    expect(results.flatMap(({ failures }) => failures)).toEqual([])
    for (const result of results) expect(result).toMatchObject({ number: 1, outcome: 'done', changed: ids.length })
    expect(new Set(Object.values(await versionsOf(one)))).toEqual(new Set([2]))
  })

  it('creates extensions that the newer version has', async () => {
    const first = await openTestTenantry(modelsOf(notes))
    await first.onboard('a')
    const second = await openTestTenantry(modelsOf('create table note (id int primary key, text citext not null)'), {
      installation: first.installation,
      templates: { extensions: ['citext'] },
    })
    const plan = await second.rollouts.plan()
    expect(plan.from).toMatchObject([{ left: [] }])
    const start = second.rollouts.start(plan, { allow: hazards(plan) })
    expect(await start).toMatchObject({ changed: 1, failures: [] })
  })

  it('works where tenants share the role of the connection', async () => {
    const first = await openTestTenantry(modelsOf(notes), { roles: 'shared' })
    await first.onboard('a')
    const second = await openTestTenantry(modelsOf(withTag), { roles: 'shared', installation: first.installation })
    expect(await second.rollouts.start(await second.rollouts.plan())).toMatchObject({ changed: 1, failures: [] })
  })
})

it('leaves no database and no role behind', async () => {
  const { next } = await firstVersion(['a'], notes)
  const second = await next(withTag)
  await second.rollouts.start(await second.rollouts.plan())
  const names = await sql<{ datname: string }>(
    `select datname from pg_database where starts_with(datname, $1) and datname ~ '_building_'`,
    [`${second.installation}_`],
  )
  expect(names).toEqual([])
})

describe('a hostile tenant', () => {
  it('cannot end the process by a long value, which PostgreSQL quotes in its error', async () => {
    const { first, next } = await firstVersion(['a', 'b'], notes)
    await first.with('a', (pool) => pool.query(`insert into note values (1, repeat(E'\\n', 30000000))`))
    const second = await next('create table note (id int primary key, text int not null)')
    const steps = ['alter table note alter column text type int using text::int']
    const plan = await second.rollouts.plan({ steps })
    const { changed, failures } = await second.rollouts.start(plan, { allow: hazards(plan) })
    expect({ changed, failed: failures.map(({ tenant }) => tenant) }).toEqual({ changed: 1, failed: ['a'] })
    for (const { error } of failures) {
      expect(error).toMatchObject({ sqlState: '22P02' })
      const { message, stack } = error.cause as Error
      for (const text of [error.message, message, stack ?? '']) expect(text.length).toBeLessThan(20_000)
    }
  })

  it('keeps no other at its version by a DROP DATABASE that is refused only once it has its lock', async () => {
    const { first, next } = await firstVersion(['evil', 'a'], notes)
    const { inService } = await namesOf(first, 'a')
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    const stop = keepLocked(first, inService)
    const isWaiting = `select from pg_stat_activity where query like 'drop database%' and wait_event_type = 'Lock'`
    await expect.poll(() => sql(isWaiting, [])).not.toEqual([])
    expect(await second.rollouts.start(plan, { only: ['a'] })).toMatchObject({ changed: 1, failures: [] })
    await stop()
  })
})

/** Locks a database again and again, as a tenant that may not even connect to it. @returns a function that stops */
function keepLocked(tenantry: PlainTenantry, database: string): () => Promise<void> {
  const over = new AbortController()
  onTestFinished(() => over.abort())
  const connect = async () => {
    const { user, password } = await tenantry.tenants.credentials('evil')
    const client = new Client({
      connectionString: serverUrl({ database: 'postgres', user, password: password.reveal() }),
    })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }
  const lock = async () => {
    while (!over.signal.aborted) {
      const clients = await Promise.all([connect(), connect()]).catch(() => undefined)
      if (clients === undefined) continue
      const [holder, waiter] = clients
      const ended = new Promise((resolve) => holder.once('end', resolve))
      await holder
        .query(`begin; alter role current_user in database ${quote(database)} set work_mem = '1MB'`)
        .catch(() => undefined)
      const dropping = waiter.query(`drop database ${quote(database)}`).catch(() => undefined)
      await Promise.race([ended, dropping, new Promise((resolve) => over.signal.addEventListener('abort', resolve))])
      await Promise.allSettled([holder.end(), waiter.end()])
    }
  }
  const locking = lock()
  return async () => {
    over.abort()
    await locking
  }
}

describe('a process that opens', () => {
  it('warns of tenants that are behind, once, unless it brings them up to date', async () => {
    const { first, next } = await firstVersion(['a', 'b'], notes)
    const { installation } = first
    const warned = async (more: object = {}) => {
      const warnings: string[] = []
      const logger = { info: () => undefined, warn: (text: string) => void warnings.push(text) }
      const servers = [postgres({ url: serverUrl() })]
      const opened = await openTenantry({ models: modelsOf(withTag), installation, servers, logger, ...more })
      await opened.close()
      return warnings.filter((text) => text.includes('older tables'))
    }
    expect(await warned()).toEqual([
      expect.stringMatching(/^Tenants with older tables than the desired version: 2 of 2\. .*"tenantry start-rollout"/),
    ])
    expect(await warned({ whenBehind: 'update' })).toEqual([])
    const second = await next(withTag)
    await second.rollouts.start(await second.rollouts.plan())
    expect(await warned()).toEqual([])
  })
})
