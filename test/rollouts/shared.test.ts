import { Client } from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serverUrl, sql } from '../support/server.ts'
import { namesOf } from '../support/tenants.ts'
import { firstVersion, notes } from './support.ts'

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
})
