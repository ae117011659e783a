import { AsyncLocalStorage } from 'node:async_hooks'
import type { EntityManager } from '@mikro-orm/postgresql'
import { type Tenantry, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { errorOf, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

/** A promise and its settling functions, to hold work at a point of a test. */
function gate() {
  return Promise.withResolvers<void>()
}

const databaseOf = async (em: EntityManager) => {
  const [row] = (await em.execute('select current_database() as name')) as [{ name: string }]
  return row.name
}

async function readOne(em: EntityManager): Promise<void> {
  await em.stream(User, {})[Symbol.asyncIterator]().next()
}

const forever = () => new Promise<never>(() => undefined)

/** Another process of an installation whose budget is two connections. */
function openWithOneConnection({ installation }: { readonly installation: string }) {
  return openTestTenantry(models, { installation, postgres: { maxConnections: 2 }, pool: { waitMs: 2_000 } })
}

describe('with', () => {
  let tenantry: Tenantry<EntityManager> & { readonly installation: string }
  beforeAll(async () => {
    tenantry = await openTestTenantry(models, { postgres: { maxConnections: 2 }, pool: { waitMs: 1_000 } })
    for (const id of ['a', 'b', 'c']) await tenantry.onboard(id)
  })

  it("passes a handle on the tenant's own database, and returns the result of the work", async () => {
    expect(await tenantry.with('a', databaseOf)).toBe(`${tenantry.installation}_t_a`)
    expect(await tenantry.with('b', databaseOf)).toBe(`${tenantry.installation}_t_b`)
    expect(await tenantry.with('a', () => 7)).toBe(7)
  })

  it('passes on the errors of the work', async () => {
    const error = new Error('mine')
    expect(
      await errorOf(
        tenantry.with('a', () => {
          throw error
        }),
      ),
    ).toBe(error)
  })

  it.each([
    ['nobody', 'tenant-unknown'],
    ['No-Id', 'invalid-tenant-id'],
  ])('refuses %s', async (id, code) => {
    expect(await errorOf(tenantry.with(id, () => 1))).toMatchObject({ code })
  })

  it('finds a tenant that was onboarded after its first look-up', async () => {
    expect(await errorOf(tenantry.with('later', () => 1))).toMatchObject({ code: 'tenant-unknown' })
    await tenantry.onboard('later')
    expect(await tenantry.with('later', () => 1)).toBe(1)
  })

  it('holds no connection but while a query or a transaction runs', async () => {
    const { promise, resolve } = gate()
    const holders = ['a', 'b', 'c'].map((id) =>
      tenantry.with(id, async (em) => {
        await em.count(User)
        await promise
      }),
    )
    // Three units of work are open on a budget of two connections, and a fourth still gets one.
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    resolve()
    await Promise.all(holders)
  })

  it('serves more tenants at once than there are connections, never over the budget', async () => {
    const proxy = await startCountingProxy(serverUrl())
    const routed = await openTestTenantry(models, {
      installation: tenantry.installation,
      // Half of them are the other process's.
      postgres: { url: proxy.url(serverUrl()), maxConnections: 4 },
    })
    const ids = Array.from({ length: 60 }, (_, i) => 'abc'[i % 3] as string)
    const found = await Promise.all(ids.map((id) => routed.with(id, databaseOf)))
    expect(found).toEqual(ids.map((id) => `${tenantry.installation}_t_${id}`))
    expect(proxy.take().tenantPeak).toBe(2)
    await routed.close()
    await proxy.close()
  })

  it('reports that all connections stay busy', async () => {
    const { promise, resolve } = gate()
    const held = Promise.withResolvers<void>()
    let holding = 0
    const holders = ['a', 'b'].map((id) =>
      tenantry.with(id, (em) =>
        em.transactional(async (tx) => {
          await tx.execute('select 1')
          if (++holding === 2) held.resolve()
          await promise
        }),
      ),
    )
    await held.promise
    const error = await errorOf(tenantry.with('c', (em) => em.count(User)))
    expect(error).toMatchObject({ code: 'pool-timeout', retryable: true })
    resolve()
    await Promise.all(holders)
    expect(await tenantry.with('c', (em) => em.count(User))).toBe(0)
  })

  it('rolls back a transaction that was left open on a connection', async () => {
    await tenantry.with('a', async (em) => {
      await em.execute('begin')
    })
    for (let i = 0; i < 3; i++) {
      const status = await tenantry.with('a', (em) =>
        em.execute('select now() = statement_timestamp() as autocommit, pg_current_xact_id_if_assigned() as xid'),
      )
      expect(status).toEqual([{ autocommit: true, xid: null }])
    }
  })

  it('rolls back a transaction that the work began and never ended, and takes its connection back', async () => {
    await using one = await openWithOneConnection(tenantry)
    await one.with('a', async (em) => {
      await em.begin()
      em.create(User, { name: 'forgotten', fullname: null })
      await em.flush()
    })
    expect(await one.with('a', (em) => em.count(User, { name: 'forgotten' }))).toBe(0)
  })

  it.each([
    ['a stream that was not read to its end', (em: EntityManager) => readOne(em)],
    ['a stream of a fork', (em: EntityManager) => readOne(em.fork())],
    ['a transaction of a fork', (em: EntityManager) => em.fork().begin()],
    [
      'a transaction that waits for ever',
      async (em: EntityManager) => {
        const begun = gate()
        void em.fork().transactional((tx) =>
          tx
            .count(User)
            .then(() => begun.resolve())
            .then(forever),
        )
        await begun.promise
      },
    ],
  ])('takes the connection of %s back when it ends', async (_, leave) => {
    await using one = await openWithOneConnection(tenantry)
    await one.with('a', (em) => em.execute(`insert into user_account (name) select 'x' from generate_series(1, 500)`))
    await one.with('a', leave)
    expect(await one.with('b', databaseOf)).toBe(`${tenantry.installation}_t_b`)
    await one.with('a', (em) => em.nativeDelete(User, { name: 'x' }))
  })

  it('leaves a stream alone that is read slowly while the work goes on', async () => {
    await using one = await openWithOneConnection(tenantry)
    const read = await one.with('a', async (em) => {
      await em.execute(`insert into user_account (name) select 'slow' from generate_series(1, 300)`)
      const names: string[] = []
      for await (const { name } of em.stream(User, { where: { name: 'slow' } })) {
        // Longer than an open transaction may stand idle once the work has ended.
        if (names.push(name) === 50) await sql('select pg_sleep(1.5)')
      }
      await em.nativeDelete(User, { name: 'slow' })
      return names.length
    })
    expect(read).toBe(300)
  })

  it('leaves a query alone that was not waited for', async () => {
    await using one = await openWithOneConnection(tenantry)
    let late: Promise<unknown> | undefined
    await one.with('a', (em) => {
      late = em.execute(`select pg_sleep(1.5), 'late' as said`)
    })
    expect(await late).toMatchObject([{ said: 'late' }])
  })

  it("passes on the work's own error, although its signal is aborted", async () => {
    const controller = new AbortController()
    const mine = new Error('mine')
    const work = tenantry.with(
      'a',
      () => {
        controller.abort()
        throw mine
      },
      { signal: controller.signal },
    )
    expect(await errorOf(work)).toBe(mine)
  })

  it('cancelled by its signal does not run the work', async () => {
    let ran = false
    const signal = AbortSignal.abort()
    const error = await errorOf(
      tenantry.with(
        'a',
        () => {
          ran = true
        },
        { signal },
      ),
    )
    expect(error).toMatchObject({ code: 'aborted' })
    expect(ran).toBe(false)
  })

  it('cancelled while a query runs cancels it on the server, and gives the connection back', async () => {
    await using one = await openWithOneConnection(tenantry)
    const controller = new AbortController()
    const reason = new Error('enough')
    const work = errorOf(
      one.with('a', (em) => em.execute('select pg_sleep(60) /* cancelled */'), { signal: controller.signal }),
    )
    const running = `select 1 from pg_stat_activity where query like '%/* cancelled%' and state = 'active' and pid <> pg_backend_pid()`
    await expect.poll(() => sql(running)).toHaveLength(1)
    controller.abort(reason)
    expect(await work).toMatchObject({ code: 'aborted', cause: reason })
    await expect.poll(() => sql(running)).toHaveLength(0)
    expect(await one.with('a', (em) => em.count(User))).toBe(0)
  })

  it("lets Tenantry's own errors through the ORM as they are", async () => {
    await using one = await openWithOneConnection(tenantry)
    await one.with('a', (em) => em.count(User))
    const error = await one.with('a', (em) =>
      em.transactional(() => errorOf(one.with('a', (other) => other.count(User)))),
    )
    expect(error).toBeInstanceOf(TenantryError)
    expect(error).toMatchObject({ code: 'pool-timeout' })
  })

  it('survives the end of its idle connections', async () => {
    await tenantry.with('a', (em) => em.count(User))
    await sql('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
      `${tenantry.installation}_t_a`,
    ])
    await expect.poll(async () => tenantry.with('a', (em) => em.count(User)).catch((error: unknown) => error)).toBe(0)
  })
})

describe('the context', () => {
  let tenantry: Tenantry<EntityManager>
  beforeAll(async () => {
    tenantry = await openTestTenantry(models)
    for (const id of ['a', 'b']) await tenantry.onboard(id)
  })

  it('names the tenant inside of run and with, through awaits, timers and nesting', async () => {
    const deep = async () => {
      await new Promise((resolve) => setImmediate(resolve))
      return tenantry.currentTenant()
    }
    expect(await tenantry.run('a', deep)).toBe('a')
    expect(await tenantry.with('b', deep)).toBe('b')
    expect(await tenantry.run('a', () => tenantry.with('a', deep))).toBe('a')
    expect(await Promise.all(['a', 'b', 'a'].map((id) => tenantry.run(id, deep)))).toEqual(['a', 'b', 'a'])
  })

  it('does not exist outside', async () => {
    await tenantry.run('a', () => 1)
    expect(() => tenantry.currentTenant()).toThrow(expect.objectContaining({ code: 'no-tenant' }))
  })

  it.each(['with', 'run'] as const)("of %s is never another's, with any order of events", async (verb) => {
    const elsewhere = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    const look = () => {
      try {
        seen.push(tenantry.currentTenant())
      } catch {
        seen.push(undefined)
      }
    }
    const end = Promise.withResolvers<void>()
    const before = end.promise.then(look)
    const work = elsewhere.run('kept', () =>
      tenantry[verb]('a', async () => {
        expect([tenantry.currentTenant(), elsewhere.getStore()]).toEqual(['a', 'kept'])
        queueMicrotask(end.resolve)
        await new Promise((resolve) => setImmediate(resolve))
        expect([tenantry.currentTenant(), elsewhere.getStore()]).toEqual(['a', 'kept'])
      }),
    )
    look()
    const after = work.then(look, look)
    const others = Array.from({ length: 20 }, async () => {
      await Promise.resolve()
      look()
    })
    await Promise.all([before, work, after, ...others])
    look()
    const failed = tenantry[verb]('a', () => Promise.reject(new Error('failed')))
    await failed.catch(look)
    expect(seen).toEqual(Array.from({ length: 25 }, () => undefined))
  })

  it("of one tenant refuses another's inside", async () => {
    const error = await errorOf(tenantry.run('a', () => tenantry.with('b', () => 1)))
    expect(error).toMatchObject({ code: 'tenant-conflict', tenant: 'b' })
  })

  it('of another inside is entered where that is meant, and left again', async () => {
    const inside = () => tenantry.with('b', () => tenantry.currentTenant(), { nested: 'allow' })
    expect(await tenantry.run('a', async () => [await inside(), tenantry.currentTenant()])).toEqual(['b', 'a'])
  })

  it('is carried as plain data, and means the tenant that it was, not another of the same id', async () => {
    const captured = await tenantry.run('a', () => tenantry.captureTenant())
    const carried = JSON.parse(JSON.stringify(captured)) as typeof captured
    expect(await tenantry.run(carried, () => tenantry.currentTenant())).toBe('a')
    expect(await tenantry.with(carried, (em) => em.count(User))).toBe(0)
    expect(() => tenantry.captureTenant()).toThrow(expect.objectContaining({ code: 'no-tenant' }))
    await tenantry.onboard('again')
    const before = await tenantry.run('again', () => tenantry.captureTenant())
    await tenantry.tenants.offboard('again')
    await tenantry.tenants.purge('again')
    await tenantry.onboard('again')
    expect(await tenantry.run('again', () => 1)).toBe(1)
    for (const call of [() => tenantry.run(before, () => 1), () => tenantry.with(before, () => 1)]) {
      expect(await errorOf(call())).toMatchObject({ code: 'tenant-unknown', tenant: 'again' })
    }
  })

  it('means the tenant that it was entered for, also once that was purged and another has its id', async () => {
    await tenantry.onboard('reused')
    const [entered, over] = [gate(), gate()]
    const insert = (em: EntityManager) => {
      em.create(User, { name: 'of the old one', fullname: null })
      return em.flush()
    }
    const calls = [
      () => tenantry.with(tenantry.currentTenant(), insert),
      () => tenantry.with('reused', insert, { nested: 'allow' }),
      () => tenantry.run('reused', () => tenantry.with('reused', insert)),
    ]
    const job = tenantry.run('reused', async () => {
      entered.resolve()
      await over.promise
      return Promise.all(calls.map((call) => errorOf(call())))
    })
    await entered.promise
    await tenantry.tenants.offboard('reused')
    await tenantry.tenants.purge('reused')
    await tenantry.onboard('reused')
    over.resolve()
    const gone = { code: 'tenant-unknown', tenant: 'reused', hint: expect.stringContaining('drop the work') }
    expect(await job).toEqual(calls.map(() => expect.objectContaining(gone)))
    expect(await tenantry.with('reused', (em) => em.count(User))).toBe(0)
  })

  it('of a purged tenant refuses the one that has its id now, unless it is meant', async () => {
    await tenantry.onboard('twice')
    const [entered, over] = [gate(), gate()]
    const next = Promise.withResolvers<Awaited<ReturnType<typeof tenantry.captureTenant>>>()
    const job = tenantry.run('twice', async () => {
      entered.resolve()
      await over.promise
      const other = await next.promise
      const refused = await errorOf(tenantry.with(other, () => 1))
      return [refused, await tenantry.with(other, () => 1, { nested: 'allow' })]
    })
    await entered.promise
    await tenantry.tenants.offboard('twice')
    await tenantry.tenants.purge('twice')
    await tenantry.onboard('twice')
    next.resolve(await tenantry.run('twice', () => tenantry.captureTenant()))
    over.resolve()
    expect(await job).toEqual([expect.objectContaining({ code: 'tenant-conflict', tenant: 'twice' }), 1])
  })

  it.each([null, {}, { tenant: 'A' }, { tenant: 'a', row: 7 }])('that is %j is refused', async (captured) => {
    expect(await errorOf(tenantry.run(captured as never, () => 1))).toMatchObject({
      code: expect.stringMatching(/^invalid-(?:tenant-id|option)$/),
    })
  })

  it('of an unknown tenant is not entered', async () => {
    expect(await errorOf(tenantry.run('nobody', () => 1))).toMatchObject({ code: 'tenant-unknown' })
  })
})

describe('closing', () => {
  it('lets work finish, then refuses, may be done twice, and leaves no session', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    const { promise, resolve } = gate()
    const started = gate()
    const work = tenantry.with('a', (em) =>
      em.transactional(async (tx) => {
        await tx.execute('select 1')
        started.resolve()
        await promise
        return 'done'
      }),
    )
    await started.promise
    const closing = tenantry.close()
    expect(await errorOf(tenantry.with('a', () => 1))).toMatchObject({ code: 'closed' })
    expect(await errorOf(tenantry.onboard('b'))).toMatchObject({ code: 'closed' })
    resolve()
    expect(await work).toBe('done')
    await closing
    await tenantry.close()
    await expect
      .poll(() => sql('select 1 from pg_stat_activity where starts_with(datname, $1)', [tenantry.installation]))
      .toEqual([])
  })

  it('lets an onboarding finish', async () => {
    const tenantry = await openTestTenantry(models)
    const onboarding = tenantry.onboard('a')
    await tenantry.close()
    expect(await onboarding).toMatchObject({ outcome: 'onboarded' })
  })

  it('ends an onboarding at its deadline', async () => {
    const tenantry = await openTestTenantry(models, { limits: { concurrency: 1 } })
    const onboardings = ['a', 'b', 'c'].map((id) => tenantry.onboard(id).catch((error: unknown) => error))
    await tenantry.close({ deadlineMs: 0 })
    const results = await Promise.all(onboardings)
    expect(results.at(-1)).toMatchObject({ code: 'aborted', tenant: undefined })
  })

  it('ends busy connections at its deadline', async () => {
    const tenantry = await openTestTenantry(models)
    await tenantry.onboard('a')
    const started = gate()
    const work = errorOf(
      tenantry.with('a', (em) =>
        em.transactional(async (tx) => {
          await tx.execute('select 1')
          started.resolve()
          await tx.execute('select pg_sleep(60)')
        }),
      ),
    )
    await started.promise
    await tenantry.close({ deadlineMs: 50 })
    expect(await work).toBeInstanceOf(Error)
  })
})
