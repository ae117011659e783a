import { describe, expect, it } from 'vitest'
import { TenantryError } from 'tenantry'
import { errorOf } from '../support/server.ts'
import { inCatalog, onChange } from '../support/tenants.ts'
import { firstVersion, hazards, inTenant, notes, type PlainTenantry, versionsOf, withTag } from './support.ts'

const unique = 'create table note (id int primary key, text text not null unique)'

/** Opens tenants of a first version of which some have rows that a new unique key refuses, and the second version. */
async function withObstacles(ids: readonly string[], obstructed: readonly string[]) {
  const { first, next } = await firstVersion(ids, notes)
  for (const id of obstructed) await first.with(id, (pool) => pool.query(`insert into note values (1, 'x'), (2, 'x')`))
  const second = await next(unique)
  const plan = await second.rollouts.plan()
  const clear = (id: string) => inTenant(second, id, 'delete from note where id = 2')
  return { second, next, plan, allow: hazards(plan), clear }
}

const failedIn = async (tenantry: PlainTenantry) =>
  (await tenantry.rollouts.targets({ state: 'failed' })).map(({ tenant }) => tenant)

describe('a recorded rollout', () => {
  it('is described with its plan, its tenants and their errors', async () => {
    const { second, plan, allow } = await withObstacles(['a', 'b', 'c'], ['b'])
    expect(await errorOf(second.rollouts.get())).toMatchObject({ code: 'rollout-unknown' })
    expect(await second.rollouts.start(plan, { allow, actor: 'anna' })).toMatchObject({ number: 1, outcome: 'done' })
    const tenants = { waiting: 0, running: 0, changed: 2, failed: 1, skipped: 0 }
    const expected = { number: 1, state: 'done', to: plan.to, tenants, actor: 'anna' }
    expect(await second.rollouts.get()).toMatchObject(expected)
    expect(await second.rollouts.list()).toMatchObject([expected])
    expect(await second.rollouts.planOf({ rollout: 1 })).toEqual(JSON.parse(JSON.stringify(plan)))
    const [a, b] = await second.rollouts.targets({ limit: 2 })
    expect(a).toMatchObject({ tenant: 'a', server: 'main', from: 1, wave: 1, state: 'changed', attempts: 1 })
    expect(b).toMatchObject({ tenant: 'b', state: 'failed', error: { code: 'query-failed' } })
    expect(b!.error!.message).toContain('unique')
    expect(await second.rollouts.targets({ after: 'b' })).toMatchObject([{ tenant: 'c' }])
    expect(await errorOf(second.rollouts.get({ rollout: 2 }))).toMatchObject({ code: 'rollout-unknown' })
  })

  it('waits for other processes if it is detached, and is joined by them', async () => {
    const { first, next } = await firstVersion(['a', 'b', 'c', 'd'], notes)
    const [one, other] = [await next(withTag), await next(withTag)]
    const plan = await one.rollouts.plan()
    const started = await one.rollouts.start(plan, { detach: true })
    expect(started).toMatchObject({ number: 1, outcome: 'started', changed: 0, left: 4 })
    expect(await errorOf(first.rollouts.join())).toMatchObject({ code: 'plan-refused' })
    const watched: number[] = []
    const watching = (async () => {
      for await (const { tenants } of one.rollouts.watch()) watched.push(tenants.changed)
    })()
    const results = await Promise.all([one.rollouts.join(), other.rollouts.join({ rollout: 1, concurrency: 1 })])
    for (const result of results) expect(result).toMatchObject({ number: 1, outcome: 'done', changed: 4, failures: [] })
    await watching
    expect(watched.at(-1)).toBe(4)
    expect(await errorOf(one.rollouts.join())).toMatchObject({ code: 'rollout-state' })
  })

  it('is worked on by processes that offer to, until their signal', async () => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const [one, other] = [await next(withTag), await next(withTag)]
    const end = new AbortController()
    const working = one.rollouts.work({ signal: end.signal })
    await other.rollouts.start(await other.rollouts.plan(), { detach: true })
    for await (const { state } of other.rollouts.watch()) expect(['running', 'done']).toContain(state)
    expect(await versionsOf(other)).toEqual({ a: 2, b: 2 })
    end.abort()
    await working
  })

  it('is paused, resumed and aborted, and refuses another plan while it is open', async () => {
    const { first, next } = await firstVersion(['a', 'b', 'c'], notes)
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    const pausing: Promise<unknown>[] = []
    const stop = onChange(second, () => pausing.push(second.rollouts.pause()))
    expect(await second.rollouts.start(plan, { concurrency: 1 })).toMatchObject({ outcome: 'paused' })
    stop()
    await Promise.all(pausing)
    const { tenants } = await second.rollouts.get()
    expect(tenants.waiting).toBeGreaterThan(0)
    expect(await errorOf(second.rollouts.join())).toMatchObject({ code: 'rollout-state' })
    await first.close()
    const third = await next(withTag, 'create table more (id int primary key)')
    expect(await errorOf(third.rollouts.start(await third.rollouts.plan()))).toMatchObject({ code: 'rollout-open' })
    expect(await second.rollouts.resume()).toMatchObject({ state: 'running', number: 1 })
    expect(await second.rollouts.resume()).toMatchObject({ state: 'running' })
    expect(await second.rollouts.abort()).toMatchObject({ state: 'aborted' })
    expect(await second.rollouts.abort()).toMatchObject({ state: 'aborted' })
    for (const call of ['pause', 'resume', 'retry'] as const)
      expect(await errorOf(second.rollouts[call]())).toMatchObject({ code: 'rollout-state' })
    expect(await third.rollouts.start(await third.rollouts.plan())).toMatchObject({ number: 2, outcome: 'done' })
    expect(await versionsOf(third)).toEqual({ a: 3, b: 3, c: 3 })
    expect(await errorOf(third.rollouts.retry({ rollout: 1 }))).toMatchObject({ code: 'rollout-state' })
    await third.rollouts.setDesired(2)
    expect(await errorOf(third.rollouts.retry({ rollout: 2 }))).toMatchObject({ code: 'plan-refused' })
  })

  it('tries failed tenants again when it is told to', async () => {
    const { second, plan, allow, clear } = await withObstacles(['a', 'b', 'c'], ['a', 'c'])
    await second.rollouts.start(plan, { allow })
    expect(await failedIn(second)).toEqual(['a', 'c'])
    await clear('a')
    await clear('c')
    expect(await second.rollouts.retry({ only: ['c'] })).toMatchObject({ state: 'running', tenants: { failed: 1 } })
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'done', changed: 2 })
    expect(await second.rollouts.retry()).toMatchObject({ number: 1, tenants: { failed: 0, waiting: 1 } })
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'done', changed: 3, failures: [] })
  })

  it('counts the failures anew when it is resumed after it was halted', async () => {
    const ids = ['a', 'b', 'c', 'd', 'e']
    const { second, plan, allow } = await withObstacles(ids, ids)
    expect(await second.rollouts.start(plan, { allow, haltAfter: 1, concurrency: 1 })).toMatchObject({
      outcome: 'halted',
    })
    expect(await failedIn(second)).toEqual(['a'])
    await second.rollouts.resume({ haltAfter: 2 })
    const result = await second.rollouts.join({ concurrency: 1 })
    expect(result).toMatchObject({ outcome: 'halted', left: 2 })
    expect(result.failures.map(({ tenant, error }) => [tenant, error instanceof TenantryError])).toEqual(
      ['a', 'b', 'c'].map((id) => [id, true]),
    )
  })

  it('changes canaries first, and halts if one of them fails', async () => {
    const { second, plan, allow, clear } = await withObstacles(['a', 'b', 'c', 'd'], ['d'])
    const canary = ['c', 'd']
    expect(await second.rollouts.start(plan, { allow, canary })).toMatchObject({
      outcome: 'halted',
      changed: 1,
      left: 2,
    })
    expect(await versionsOf(second)).toEqual({ a: 1, b: 1, c: 2, d: 1 })
    await clear('d')
    await second.rollouts.retry()
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'done', changed: 4 })
    for (const [options, code] of [
      [{ canary: ['e'] }, 'tenant-unknown'],
      [{ canary: ['a'], only: ['b'] }, 'invalid-option'],
    ] as const)
      expect(await errorOf(second.rollouts.start(plan, { allow, ...options }))).toMatchObject({ code })
  })

  it('begins a wave once the one before it is over', async () => {
    const ids = Array.from({ length: 9 }, (_, i) => `t${i}`)
    const { next } = await firstVersion(ids, notes)
    const second = await next(withTag)
    const order: string[] = []
    onChange(second, ({ tenant }) => order.push(tenant))
    await second.rollouts.start(await second.rollouts.plan(), { waves: [0.25, 0.5], canary: ['t7'] })
    const waves = new Map((await second.rollouts.targets()).map(({ tenant, wave }) => [tenant as string, wave]))
    expect(order.map((id) => waves.get(id))).toEqual([0, 1, 1, 2, 2, 3, 3, 3, 3])
    expect(order[0]).toBe('t7')
  })

  it('includes tenants that come to its versions while it runs, and skips those that leave them', async () => {
    const { first, next } = await firstVersion(['a', 'b', 'c'], notes)
    const second = await next(withTag)
    const plan = await second.rollouts.plan()
    await second.rollouts.start(plan, { detach: true })
    await first.onboard('late')
    await second.tenants.offboard('b')
    const result = await second.rollouts.join()
    expect(result).toMatchObject({ outcome: 'done', changed: 3, failures: [] })
    expect(await second.rollouts.targets({ state: 'skipped' })).toMatchObject([{ tenant: 'b' }])
    expect(await versionsOf(second)).toMatchObject({ a: 2, b: 1, c: 2, late: 2 })
  })

  it('gives the tenants of a process that is gone to others, whose report alone counts', async () => {
    const { next } = await firstVersion(['a', 'b'], notes)
    const second = await next(withTag)
    await second.rollouts.start(await second.rollouts.plan(), { detach: true, leaseMs: 1_000 })
    const claim = `select token from tenantry.claim_targets(1, 'gone', 1)`
    const [lost] = await inCatalog<{ token: string }>(second, claim)
    expect(await second.rollouts.join()).toMatchObject({ outcome: 'done', changed: 2, failures: [] })
    const report = `select tenantry.report_target(1, row_id, $1, 'failed', null, '{"code":"query-failed"}') as done
      from tenantry.rollout_target where tenant = 'a'`
    expect(await inCatalog(second, report, [lost!.token])).toEqual([{ done: false }])
    expect(await second.rollouts.targets()).toMatchObject([{ state: 'changed', attempts: 2 }, { state: 'changed' }])
  })

  it('limits the tenants that are changed at once on a server in all processes together', async () => {
    const ids = Array.from({ length: 6 }, (_, i) => `t${i}`)
    const { next } = await firstVersion(ids, notes)
    const second = await next(withTag)
    await second.rollouts.start(await second.rollouts.plan(), { detach: true, concurrency: 3 })
    const claim = (worker: string) => inCatalog(second, `select from tenantry.claim_targets(1, $1, 2)`, [worker])
    const claimed = await Promise.all(['x', 'y', 'z'].map(claim))
    expect(claimed.flat()).toHaveLength(3)
  })

  it('changes its state as drawn, by each call in each state', async () => {
    const { next } = await firstVersion(['a'], notes)
    const second = await next(withTag)
    await second.rollouts.start(await second.rollouts.plan(), { detach: true })
    const refused = 'rollout-state'
    const expected = {
      running: { pause: 'paused', resume: 'running', retry: 'running', abort: 'aborted' },
      paused: { pause: 'paused', resume: 'running', retry: 'running', abort: 'aborted' },
      halted: { pause: 'paused', resume: 'running', retry: 'running', abort: 'aborted' },
      done: { pause: refused, resume: refused, retry: 'running', abort: refused },
      aborted: { pause: refused, resume: refused, retry: refused, abort: 'aborted' },
    } as const
    const seen: Record<string, Record<string, string>> = {}
    for (const state of Object.keys(expected)) {
      seen[state] = {}
      for (const call of ['pause', 'resume', 'retry', 'abort'] as const) {
        await inCatalog(second, 'update tenantry.rollout set state = $1', [state])
        const outcome = second.rollouts[call]()
        seen[state][call] = await outcome.then(
          (rollout) => rollout.state,
          (error: unknown) => (error as TenantryError).code,
        )
      }
    }
    expect(seen).toEqual(expected)
  })
})
