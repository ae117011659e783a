import { once } from 'node:events'
import { Client } from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startProgram } from '../support/program.ts'
import { serverUrl, sql } from '../support/server.ts'
import { namesOf } from '../support/tenants.ts'
import { firstVersion, hazards, inTenant, notes, type PlainTenantry, versionsOf, withTag } from './support.ts'

const file = new URL('programs/worker.ts', import.meta.url)
const counter = 'create table counter (value int primary key)'
/** The steps of the rollout: the last one fails, by its key, where it would run twice. */
const steps = [`alter table note add column tag text default 'none'`, 'insert into counter values (1)']

/** Opens tenants of a first version, and records a rollout for processes that work on it. */
async function recorded(ids: readonly string[], options: { readonly lockTimeoutMs?: number } = {}) {
  const { next } = await firstVersion(ids, notes, counter)
  const second = await next(withTag, counter)
  const plan = await second.rollouts.plan({ steps })
  const allow = hazards(plan)
  await second.rollouts.start(plan, { ...options, allow, detach: true, leaseMs: 1_000 })
  const startWorker = async () => {
    const program = startProgram(file, [serverUrl(), second.installation, withTag, counter])
    expect(await program.next()).toBe('ready')
    return program
  }
  return { second, startWorker }
}

async function finished(tenantry: PlainTenantry): Promise<void> {
  for await (const { state } of tenantry.rollouts.watch()) if (state !== 'running') expect(state).toBe('done')
}

/** Every tenant is at the new version, as it was created from it, and was changed once. */
async function expectChangedOnce(tenantry: PlainTenantry, ids: readonly string[]): Promise<void> {
  expect(await versionsOf(tenantry)).toEqual(Object.fromEntries(ids.map((id) => [id, 2])))
  for (const id of ids) {
    expect(await inTenant(tenantry, id, 'select value from counter')).toEqual([{ value: 1 }])
    expect(await tenantry.tenants.check(id, { exact: true })).toMatchObject({ outcome: 'matches' })
  }
}

describe('workers', () => {
  it('are replaced when they are killed, and change each tenant once', { timeout: 300_000 }, async () => {
    const ids = Array.from({ length: Number(process.env['TENANTRY_TEST_TENANTS'] ?? 20) }, (_, i) => `t${i}`)
    const { second, startWorker } = await recorded(ids)
    const over = new AbortController()
    const ending = once(over.signal, 'abort')
    /** Starts workers, and kills each after some tenants, in the midst of the next ones. */
    const lives = async () => {
      while (!over.signal.aborted) {
        const worker = await startWorker()
        for (let left = 1 + Math.floor(Math.random() * 5); left > 0; left--) await Promise.race([worker.next(), ending])
        worker.child.kill('SIGKILL')
      }
    }
    const watched = async () => {
      await finished(second)
      over.abort()
    }
    await Promise.all([watched(), lives(), lives()])
    await expectChangedOnce(second, ids)
    expect((await second.rollouts.get()).tenants).toMatchObject({ changed: ids.length, failed: 0 })
  })

  it('are refused when they go on after they were stopped, and overtaken', { timeout: 300_000 }, async () => {
    const { second, startWorker } = await recorded(['a'], { lockTimeoutMs: 60_000 })
    const { inService } = await namesOf(second, 'a')
    const holder = new Client(serverUrl({ database: inService }))
    await holder.connect()
    onTestFinished(() => holder.end())
    await holder.query('begin; lock table note in access exclusive mode')
    const stopped = await startWorker()
    await expect.poll(() => waiting(inService)).toBe(1)
    stopped.child.kill('SIGSTOP')
    await holder.query('rollback')
    // Its transaction has the lock now, and nothing ends it but PostgreSQL, since it is idle.
    const other = await startWorker()
    await finished(second)
    expect(await other.next()).toBe('a')
    await expectChangedOnce(second, ['a'])
    const [before] = await second.rollouts.targets()
    expect(before).toMatchObject({ state: 'changed', attempts: 2 })
    stopped.child.kill('SIGCONT')
    expect(await stopped.end()).toBe(0)
    expect(await second.rollouts.targets()).toEqual([before])
    expect((await second.tenants.history('a')).filter(({ verb }) => verb === 'roll-out')).toHaveLength(1)
    await expectChangedOnce(second, ['a'])
  })
})

/** The number of sessions that wait for a lock on a table of a database. */
async function waiting(database: string): Promise<number> {
  const [row] = await sql<{ sessions: number }>(
    `select count(*)::int as sessions from pg_locks l join pg_database d on d.oid = l.database
     where d.datname = $1 and l.locktype = 'relation' and not l.granted`,
    [database],
  )
  return row!.sessions
}
