import { Client } from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { errorOf, serverUrl, sql } from '../support/server.ts'
import { inCatalog, namesOf } from '../support/tenants.ts'
import { firstVersion, hazards, inTenant, notes, versionsOf, withTag } from './support.ts'

const unique = 'create table note (id int primary key, text text not null unique)'
const twice = `insert into note values (1, 'x'), (2, 'x')`

describe('a shared rollout', () => {
  it('changes a tenant at the first attempt if its preparation takes longer than the lease', async () => {
    const { next } = await firstVersion(['a'], notes)
    const second = await next(notes, 'create index note_text on note (text)')
    const { inService } = await namesOf(second, 'a')
    const older = new Client(serverUrl({ database: inService }))
    await older.connect()
    onTestFinished(() => older.end())
    const plan = await second.rollouts.plan()
    await older.query(`begin; insert into note values (1, 'x')`)
    const started = second.rollouts.start(plan, { largeTableBytes: 1, leaseMs: 1_000 })
    const building = `select from pg_stat_activity where query ilike 'create index concurrently%' and datname = $1`
    await expect.poll(() => sql(building, [inService])).toHaveLength(1)
    // The index is built once this transaction has ended, and the lease would be over by then.
    await older.query('select pg_sleep(2); commit')
    expect(await started).toMatchObject({ changed: 1 })
    expect(await second.rollouts.targets()).toMatchObject([{ state: 'changed', attempts: 1 }])
  })

  it('has no tenant under way once a listener has ended the call', async () => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const second = await next(withTag)
    const started = second.rollouts.start(await second.rollouts.plan(), {
      onProgress: () => {
        throw new Error('of the listener')
      },
    })
    await expect(started).rejects.toThrow('of the listener')
    expect((await second.rollouts.get()).tenants).toMatchObject({ running: 0 })
  })

  it('is not continued for some tenants by way of all', async () => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    await second.rollouts.start(plan, { detach: true })
    await second.rollouts.pause()
    expect(await errorOf(second.rollouts.start(plan, { only: ['a'] }))).toMatchObject({ code: 'rollout-open' })
    expect(await second.rollouts.get()).toMatchObject({ state: 'paused', tenants: { waiting: 2 } })
    expect(await second.rollouts.start(plan)).toMatchObject({ outcome: 'done', changed: 2 })
  })

  it('refuses to try tenants again that do not exist, and tries none for an empty list', async () => {
    const { next } = await firstVersion(['a'], notes)
    const second = await next(withTag)
    await second.rollouts.start(await second.rollouts.plan())
    expect(await errorOf(second.rollouts.retry({ only: ['b'] }))).toMatchObject({ code: 'tenant-unknown' })
    expect(await second.rollouts.get()).toMatchObject({ state: 'done' })
    expect(await second.rollouts.retry({ only: [] })).toMatchObject({ state: 'running' })
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'done', changed: 1 })
  })

  it('changes a skipped tenant that has come back to its versions', async () => {
    const { first, next } = await firstVersion(['a', 'b'], notes)
    await first.with('b', (pool) => pool.query(twice))
    const second = await next(unique)
    const plan = await second.rollouts.plan()
    const options = { allow: hazards(plan), haltAfter: 1, concurrency: 1 }
    await second.rollouts.start(plan, { ...options, detach: true })
    await second.tenants.offboard('a')
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'halted', changed: 0 })
    expect((await second.rollouts.get()).tenants).toMatchObject({ skipped: 1, failed: 1 })
    await first.tenants.restore('a')
    await inTenant(second, 'b', 'delete from note where id = 2')
    expect(await second.rollouts.start(plan, options)).toMatchObject({ outcome: 'done', changed: 2 })
    expect(await versionsOf(second)).toEqual({ a: 2, b: 2 })
  })

  it('leaves tenants on servers that a process does not have to others', async () => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const second = await next(withTag)
    await second.rollouts.start(await second.rollouts.plan(), { detach: true })
    await inCatalog(second, `insert into tenantry.server (name) values ('elsewhere')`)
    const move = `update tenantry.rollout_target set server_id = (select id from tenantry.server where name = $1) where tenant = 'b'`
    await inCatalog(second, move, ['elsewhere'])
    const end = new AbortController()
    const working = second.rollouts.work({ signal: end.signal })
    const states = async () => (await second.rollouts.targets()).map(({ state }) => state)
    await expect.poll(states).toEqual(['changed', 'waiting'])
    await inCatalog(second, move, ['main'])
    await expect.poll(states).toEqual(['changed', 'changed'])
    end.abort()
    await working
  })

  it('ends the work of a process that is closed', async () => {
    const { next } = await firstVersion([], notes)
    const second = await next(withTag)
    const working = second.rollouts.work()
    await second.close({ deadlineMs: 100 })
    await expect(working).resolves.toBeUndefined()
  })
})
