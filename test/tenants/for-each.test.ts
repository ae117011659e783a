import type { EntityManager } from '@mikro-orm/postgresql'
import type { FleetProgress, Tenant, TenantResult } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf, serverUrl } from '../support/server.ts'
import { expectSessions, sessionsIn } from '../support/sessions.ts'
import { inCatalog, namesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

const idsOf = (results: readonly TenantResult<unknown>[]) => results.map(({ tenant }) => tenant).toSorted()
const databaseOf = async (em: EntityManager) => {
  const [row] = (await em.execute('select current_database() as name')) as [{ name: string }]
  return row.name
}

/** Rows of tenants that have no databases: for work that does not use the handle. */
const pretend = (tenantry: TestTenantry<EntityManager>, number: number, server = 'main') =>
  inCatalog(
    tenantry,
    `insert into tenantry.tenant (id, state, server_id, database, fingerprint, activated_at)
     select $2::text || '-' || lpad(i::text, 4, '0'), 'active', s.id, 'pretended_' || i, v.fingerprint, now()
     from generate_series(1, $1) i, tenantry.version v, tenantry.server s where s.name = $2`,
    [number, server],
  )

describe('forEach', () => {
  const ids = Array.from({ length: 40 }, (_, i) => `t${String(i).padStart(2, '0')}`)
  let tenantry: TestTenantry<EntityManager>
  beforeAll(async () => {
    tenantry = await openTestTenantry(models, { postgres: { maxConnections: 10 } })
    await Promise.all(ids.map((id, i) => tenantry.onboard(id, { metadata: { half: i % 2 } })))
  })

  it('works on every tenant, each in its own context and database, and returns each result', async () => {
    const found = await tenantry.forEach(async (em, tenant) => {
      expect(tenantry.currentTenant()).toBe(tenant.id)
      return databaseOf(em)
    })
    expect(found).toMatchObject({ ended: 'complete', total: 40, done: 40, failed: 0, skipped: 0, aborted: 0 })
    expect(idsOf(found.results)).toEqual(ids)
    for (const result of found.results) {
      expect(result).toEqual({
        tenant: result.tenant,
        outcome: 'done',
        value: `${tenantry.installation}_t_${result.tenant}`,
      })
    }
  })

  it.each([
    [undefined, 4],
    [2, 2],
    // The budget of ten has a share of five connections, one of which is reserved for work that needs a second one.
    [40, 4],
  ])('with a concurrency of %s works on %s at once', async (concurrency, atOnce) => {
    let running = 0
    let most = 0
    await tenantry.forEach(
      async (em) => {
        most = Math.max(most, ++running)
        await em.count(User)
        running--
      },
      concurrency === undefined ? {} : { concurrency },
    )
    expect(most).toBe(atOnce)
  })

  it('continues when it fails for one, and returns the error', async () => {
    const mistake = new Error('mine')
    const found = await tenantry.forEach(async (em, { id }) => {
      if (id === 't07') throw mistake
      if (id === 't08') await em.execute('select nonsense')
      return id
    })
    expect(found).toMatchObject({ ended: 'complete', total: 40, done: 38, failed: 2 })
    const failed = found.results.filter((result) => result.outcome === 'failed')
    expect(failed.find(({ tenant }) => tenant === 't07')?.error).toBe(mistake)
    expect(failed.find(({ tenant }) => tenant === 't08')?.error).toMatchObject({ code: '42703' })
  })

  it('takes those that the filter means', async () => {
    const visited = async (filter: object) => {
      const { total, results } = await tenantry.forEach(() => undefined, { filter })
      expect(total).toBe(results.length)
      return idsOf(results)
    }
    expect(await visited({ metadata: { half: 1 } })).toEqual(ids.filter((_, i) => i % 2 === 1))
    expect(await visited({ search: 'T1' })).toEqual(ids.slice(10, 20))
    expect(await visited({ version: 1 })).toEqual(ids)
    expect(await visited({ version: 2 })).toEqual([])
    expect(await visited({ server: 'main', metadata: { half: 0 }, search: 't0' })).toHaveLength(5)
    expect(await visited({ server: 'nowhere' })).toEqual([])
  })

  it('reports its progress after each tenant', async () => {
    const seen: FleetProgress[] = []
    const results: TenantResult<string>[] = []
    const found = await tenantry.forEach(
      (_, { id }) => {
        if (id.endsWith('3')) throw new Error('no')
        return id
      },
      {
        onProgress: (progress, last) => {
          seen.push(progress)
          results.push(last)
        },
      },
    )
    expect(seen.map(({ done, failed, skipped, aborted }) => done + failed + skipped + aborted)).toEqual(
      Array.from({ length: 40 }, (_, i) => i + 1),
    )
    expect(seen.at(-1)).toEqual({ total: 40, done: 36, failed: 4, skipped: 0, aborted: 0 })
    expect(results).toEqual(found.results)
  })

  it('ends with the error of onProgress, and begins no other', async () => {
    const mistake = new Error('mine')
    let begun = 0
    const going = tenantry.forEach(() => ++begun, {
      concurrency: 1,
      onProgress: ({ done }) => {
        if (done === 3) throw mistake
      },
    })
    expect(await errorOf(going)).toBe(mistake)
    expect(begun).toBe(3)
  })

  it('leaves no connections of tenants that a request would have to close for its own', async () => {
    await tenantry.forEach((em) => em.count(User))
    for (const id of ['t00', 't20', 't39']) await expectSessions(`${tenantry.installation}_t_${id}`, 'true', 0)
  })

  it('reads a fleet page by page', async () => {
    const large = await openTestTenantry(models)
    await pretend(large, 650)
    const visited: string[] = []
    const found = await large.forEach((_, { id }) => void visited.push(id), { concurrency: 1 })
    expect(found).toMatchObject({ ended: 'complete', total: 650, done: 650 })
    expect(visited).toEqual(Array.from({ length: 650 }, (_, i) => `main-${String(i + 1).padStart(4, '0')}`))
  })

  it('of an empty fleet is complete at once', async () => {
    const empty = await openTestTenantry(models)
    expect(await empty.forEach(() => 1)).toEqual({
      ended: 'complete',
      total: 0,
      done: 0,
      failed: 0,
      skipped: 0,
      aborted: 0,
      results: [],
    })
  })

  it.each([
    [{ concurrency: 0 }],
    [{ concurency: 3 }],
    [{ filter: { state: 'suspended' } }],
    [{ filter: { version: -1 } }],
    [{ filter: 7 }],
    [{ onProgress: 'x' }],
    [{ signal: 'x' }],
    [null],
  ])('refuses %o', async (options) => {
    let begun = 0
    expect(await errorOf(tenantry.forEach(() => ++begun, options as object))).toMatchObject({ code: 'invalid-option' })
    expect(begun).toBe(0)
  })

  it("refuses to begin inside a tenant's context, its own as well", async () => {
    const inside = async () => errorOf(tenantry.forEach(() => 1))
    expect(await tenantry.run('t00', inside)).toMatchObject({ code: 'tenant-conflict', tenant: 't00' })
    const { results } = await tenantry.forEach(inside, { filter: { search: 't01' } })
    expect(results).toMatchObject([{ outcome: 'done', value: { code: 'tenant-conflict', tenant: 't01' } }])
  })
})

describe('forEach, when its tenants change meanwhile', () => {
  let tenantry: TestTenantry<EntityManager>
  const open = async () => {
    tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b', 'c', 'd']) await tenantry.onboard(id)
  }

  it('passes over those that are out of service, and skips those that go before their turn', async () => {
    await open()
    await tenantry.tenants.suspend('b')
    const found = await tenantry.forEach(
      async (em, { id }) => {
        if (id === 'a') await tenantry.tenants.suspend('c', { drainMs: 0 })
        return em.count(User)
      },
      { concurrency: 1 },
    )
    expect(found).toMatchObject({ ended: 'complete', total: 3, done: 2, skipped: 1, failed: 0 })
    expect(found.results.map(({ tenant, outcome }) => [tenant, outcome])).toEqual([
      ['a', 'done'],
      ['c', 'skipped'],
      ['d', 'done'],
    ])
    expect(found.results[1]).toMatchObject({ error: { code: 'tenant-not-active' } })
  })

  it('skips one that is taken out of service under the work, with the error that this was to it', async () => {
    await open()
    const found = await tenantry.forEach(
      (em, { id }) =>
        em.transactional(async (tx) => {
          await tx.count(User)
          if (id === 'b') await tenantry.tenants.suspend('b', { drainMs: 0 })
          return tx.count(User)
        }),
      { concurrency: 1 },
    )
    expect(found).toMatchObject({ ended: 'complete', done: 3, skipped: 1, failed: 0 })
    expect(found.results[1]).toMatchObject({ tenant: 'b', outcome: 'skipped', error: expect.any(Error) })
  })

  it('does not take another tenant that has the id since for the one it listed', async () => {
    await open()
    const seen: string[] = []
    const found = await tenantry.forEach(
      async (_, { id }) => {
        seen.push(id)
        if (id !== 'a') return
        await tenantry.tenants.offboard('c', { drainMs: 0 })
        await tenantry.tenants.purge('c')
        await tenantry.onboard('c')
      },
      { concurrency: 1 },
    )
    expect(seen).toEqual(['a', 'b', 'd'])
    expect(found.results[2]).toMatchObject({ tenant: 'c', outcome: 'skipped', error: { code: 'tenant-unknown' } })
  })
})

describe('forEach over several servers', () => {
  it('works on each apart, so that a slow one keeps none waiting', async () => {
    const servers = ['fast', 'slow'].map((name) => postgres({ name, url: serverUrl() }))
    const tenantry = await openTestTenantry(models, { servers })
    for (const { name } of servers) await pretend(tenantry, 50, name)
    const allFast = Promise.withResolvers<void>()
    let fast = 0
    const found = await tenantry.forEach((_, { server }) => {
      if (server === 'slow') return allFast.promise
      if (++fast === 50) allFast.resolve()
      return undefined
    })
    expect(found).toMatchObject({ ended: 'complete', total: 100, done: 100 })
  })

  it('fails for the tenants of one that the process does not know, and leaves none of them out', async () => {
    const tenantry = await openTestTenantry(models)
    await pretend(tenantry, 5)
    await inCatalog(tenantry, `insert into tenantry.server (name) values ('elsewhere')`)
    await pretend(tenantry, 5, 'elsewhere')
    const found = await tenantry.forEach(() => 1)
    expect(found).toMatchObject({ ended: 'complete', total: 10, done: 5, failed: 5 })
    const failed = found.results.find(({ outcome }) => outcome === 'failed')
    expect(failed).toMatchObject({ error: { code: 'server-unknown', tenant: expect.stringMatching(/^elsewhere-/) } })
  })
})

describe('forEach, cancelled', () => {
  it('ends the queries under way, and returns its results', async () => {
    const tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b', 'c', 'd']) await tenantry.onboard(id)
    const { database } = (await tenantry.tenants.get('b')) as Tenant
    const controller = new AbortController()
    const going = tenantry.forEach(
      async (em, { id }) => {
        if (id === 'b') await em.execute('select pg_sleep(600)')
        return id
      },
      { concurrency: 1, signal: controller.signal },
    )
    await expectSessions(database, `query like '%pg_sleep%' and state = 'active'`)
    controller.abort()
    const found = await going
    expect(found).toMatchObject({ ended: 'aborted', total: 4, done: 1, aborted: 1, failed: 0, skipped: 0 })
    expect(found.results).toMatchObject([
      { tenant: 'a', outcome: 'done', value: 'a' },
      { tenant: 'b', outcome: 'aborted', error: { code: 'aborted' } },
    ])
  })

  it('waits for work that goes on, and takes it as it ends', async () => {
    const tenantry = await openTestTenantry(models)
    await pretend(tenantry, 10)
    const controller = new AbortController()
    const gate = Promise.withResolvers<string>()
    let isOver = false
    const going = tenantry.forEach(
      (_, { id }) => {
        if (!id.endsWith('2')) return id
        controller.abort()
        return gate.promise
      },
      { concurrency: 1, signal: controller.signal },
    )
    void going.then(() => (isOver = true))
    await tenantry.status()
    expect(isOver).toBe(false)
    gate.resolve('late')
    expect(await going).toMatchObject({ ended: 'aborted', done: 2, results: [{}, { outcome: 'done', value: 'late' }] })
  })

  it('before it began works on nothing, and is no error', async () => {
    const tenantry = await openTestTenantry(models)
    await pretend(tenantry, 3)
    const found = await tenantry.forEach(() => 1, { signal: AbortSignal.abort() })
    expect(found).toMatchObject({ ended: 'aborted', done: 0, results: [] })
  })

  it('by close is reported', async () => {
    const tenantry = await openTestTenantry(models)
    await pretend(tenantry, 10)
    const found = await tenantry.forEach(
      async (_, { id }) => {
        if (id.endsWith('3')) void tenantry.close()
      },
      { concurrency: 1 },
    )
    expect(found).toMatchObject({ ended: 'interrupted', done: 3, failed: 0, error: { code: 'closed' } })
    expect(await errorOf(tenantry.forEach(() => 1))).toMatchObject({ code: 'closed' })
  })

  it('by a catalog that cannot be read any more returns its results', async () => {
    const tenantry = await openTestTenantry(models)
    await pretend(tenantry, 300)
    const found = await tenantry.forEach(
      async (_, { id }) => {
        if (id.endsWith('200')) await inCatalog(tenantry, 'alter table tenantry.tenant rename to hidden')
      },
      { concurrency: 1 },
    )
    expect(found).toMatchObject({ ended: 'interrupted', total: 300, done: 200, error: { sqlState: '42P01' } })
  })
})

/** A Tenantry with room for four connections: a share of two, so one tenant at a time. */
async function openSmall() {
  const tenantry = await openTestTenantry(models, { postgres: { maxConnections: 4 }, pool: { waitMs: 3_000 } })
  for (const id of ['a', 'b', 'c', 'd']) await tenantry.onboard(id)
  return tenantry
}

describe('forEach, of a tenant that takes too long', () => {
  it('cancels its queries, reports the failure, and continues', async () => {
    const tenantry = await openSmall()
    const found = await tenantry.forEach(
      async (em, { id }) => {
        if (id === 'b') await em.execute('select pg_sleep(600)')
        return id
      },
      { concurrency: 1, tenantTimeoutMs: 1_000 },
    )
    expect(found).toMatchObject({ ended: 'complete', total: 4, done: 3, failed: 1, aborted: 0 })
    expect(found.results[1]).toMatchObject({ tenant: 'b', error: { code: 'timeout', tenant: 'b' } })
  })

  it('does not wait for work that never ends, and takes back its connections', async () => {
    const tenantry = await openSmall()
    const forever = new Promise<never>(() => undefined)
    const found = await tenantry.forEach(
      async (em, { id }) => {
        if (id === 'd') return em.count(User)
        return em.fork().transactional((tx) => tx.count(User).then(() => forever))
      },
      { concurrency: 1, tenantTimeoutMs: 300 },
    )
    expect(found).toMatchObject({ ended: 'complete', done: 1, failed: 3 })
    const error = { code: 'timeout', message: expect.stringContaining('300 ms') }
    expect(found.results.slice(0, 3)).toMatchObject([{ error }, { error }, { error }])
  })

  it("keeps the work's own error, and ignores its late result", async () => {
    const tenantry = await openSmall()
    const found = await tenantry.forEach(
      async (em, { id }) => {
        if (id === 'a') await errorOf(em.execute('select pg_sleep(600)'))
        if (id === 'b') throw new Error('mine')
        return id
      },
      { concurrency: 1, tenantTimeoutMs: 1_000 },
    )
    expect(found).toMatchObject({
      done: 3,
      failed: 1,
      results: [{ value: 'a' }, { error: { message: 'mine' } }, {}, {}],
    })
  })

  it.each([-1, 0.5, '5s', Number.NaN])('refuses %j for the limit', async (tenantTimeoutMs) => {
    const tenantry = await openTestTenantry(models)
    expect(await errorOf(tenantry.forEach(() => 1, { tenantTimeoutMs: tenantTimeoutMs as never }))).toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('tenantTimeoutMs'),
    })
  })
})

describe('forEach and the budget', () => {
  it('leaves half of it to others, for any number of connections of the work', async () => {
    const tenantry = await openSmall()
    const { inService: database } = await namesOf(tenantry, 'a')
    const gate = Promise.withResolvers<void>()
    onTestFinished(() => gate.resolve())
    const going = tenantry.forEach((em) =>
      Promise.all(
        Array.from({ length: 6 }, () =>
          em.fork().transactional(async (tx) => {
            await tx.count(User)
            await gate.promise
          }),
        ),
      ),
    )
    await expectSessions(database, `state = 'idle in transaction'`, 2)
    const others = ['b', 'c'].map((id) => tenantry.with(id, (em) => em.transactional((tx) => tx.count(User))))
    expect(await Promise.all(others)).toEqual([0, 0])
    expect(await sessionsIn(database)).toHaveLength(2)
    gate.resolve()
    expect(await going).toMatchObject({ done: 4, failed: 0 })
  })

  it('two at once share the same half, and both come to their end', async () => {
    const tenantry = await openSmall()
    const beside = (em: EntityManager) =>
      em.transactional(async (tx) => {
        await tx.count(User)
        // A query beside the transaction needs a second connection.
        return em.fork().count(User)
      })
    const both = await Promise.all([tenantry.forEach(beside), tenantry.forEach(beside)])
    expect(both).toMatchObject([
      { done: 4, failed: 0 },
      { done: 4, failed: 0 },
    ])
  })

  it('takes back the place of a connection that ended during its lease', async () => {
    const tenantry = await openSmall()
    const found = await tenantry.forEach(async (em) => {
      await em
        .fork()
        .transactional((tx) => tx.execute('select pg_terminate_backend(pg_backend_pid())'))
        .catch(() => undefined)
      return em.count(User)
    })
    expect(found).toMatchObject({ done: 4, failed: 0 })
  })

  it('reports that the connections of the share stay busy', async () => {
    const tenantry = await openTestTenantry(models, { postgres: { maxConnections: 4 }, pool: { waitMs: 200 } })
    await tenantry.onboard('a')
    const found = await tenantry.forEach((em) =>
      em.fork().transactional((one) =>
        em.fork().transactional(async (two) => {
          await one.count(User)
          await two.count(User)
          return em.fork().count(User)
        }),
      ),
    )
    const [result] = found.results
    expect(result).toMatchObject({ outcome: 'failed', error: { code: 'pool-timeout' } })
    expect(result?.outcome === 'failed' && String(result.error)).toContain('2 connections that a fleet query may have')
  })
})
