import type { EntityManager } from '@mikro-orm/postgresql'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { FaultProxy } from '../faults/fault-proxy.ts'
import { errorOf, serverUrl, sql } from '../support/server.ts'
import { openTestTenantry, type TestTenantry } from '../support/tenants.ts'

// Packets are dropped silently: connections stay open, without any traffic.

const models = mikroOrm({ entities: [User, Address] })

type Config = Parameters<typeof openTestTenantry<EntityManager>>[1]

/** A Tenantry with the tenant `a`, that reaches its server through a proxy. */
async function openThrough(config: Config = {}): Promise<{ proxy: FaultProxy; tenantry: TestTenantry<EntityManager> }> {
  const proxy = await FaultProxy.start(serverUrl({ database: 'postgres' }))
  onTestFinished(() => proxy.close())
  const tenantry = await openTestTenantry(models, {
    ...config,
    postgres: { url: proxy.url, connectTimeoutMs: 1_000, ...config.postgres },
  })
  // Closing at the end of the test would be silent as well.
  onTestFinished(() => proxy.thaw())
  await tenantry.onboard('a')
  await tenantry.with('a', (em) => em.count(User))
  return { proxy, tenantry }
}

/** Resolves once a query with this text runs in a tenant's database. */
async function running(text: string): Promise<void> {
  const query = `select from pg_stat_activity where query like $1 and state = 'active' and pid <> pg_backend_pid()`
  await expect.poll(() => sql(query, [`%${text}%`])).toHaveLength(1)
}

async function secondsOf(work: Promise<unknown>): Promise<number> {
  const since = performance.now()
  await work
  return (performance.now() - since) / 1_000
}

describe('a connection on a silent network', () => {
  it.each([
    ['query', (em: EntityManager, sleep: string) => em.execute(sleep)],
    ['transaction', (em: EntityManager, sleep: string) => em.transactional((tx) => tx.execute(sleep))],
  ])('is given up with a %s on it, without a signal and a time limit', async (kind, work) => {
    const { proxy, tenantry } = await openThrough({ pool: { checkMs: 1_000 }, session: { statementTimeoutMs: 0 } })
    const failure = errorOf(tenantry.with('a', (em) => work(em, `select pg_sleep(60) /* silent ${kind} */`)))
    await running(`silent ${kind}`)
    proxy.freeze()
    expect(await secondsOf(failure)).toBeLessThan(6)
    expect(String(await failure)).toContain('Connection terminated')
  })

  it('that the statement never reached is given up as well', async () => {
    const { proxy, tenantry } = await openThrough({ pool: { checkMs: 1_000 } })
    proxy.freeze()
    const failure = errorOf(tenantry.with('a', (em) => em.count(User)))
    expect(await secondsOf(failure)).toBeLessThan(6)
    expect(String(await failure)).toContain('Connection terminated')
  })
})

it('a statement that takes its time on a network that works is left alone', async () => {
  const { tenantry } = await openThrough({ pool: { checkMs: 200 } })
  const slept = tenantry.with('a', (em) => em.execute('select pg_sleep(3)::text as nothing'))
  expect(await slept).toEqual([{ nothing: '' }])
})

/** Work that may be under way during the close; resolves once it is. */
const underWay: Readonly<Record<string, (it: TestTenantry<EntityManager>, proxy: FaultProxy) => Promise<unknown>>> = {
  nothing: async () => undefined,
  'a query': async (tenantry) => {
    void settled(tenantry.with('a', (em) => em.execute('select pg_sleep(60) /* at closing */')))
    await running('at closing')
  },
  'a transaction that stands idle': async (tenantry) => {
    const begun = Promise.withResolvers<void>()
    void settled(
      tenantry.with('a', (em) =>
        em.transactional(async (tx) => {
          await tx.count(User)
          begun.resolve()
          await new Promise(() => undefined)
        }),
      ),
    )
    await begun.promise
  },
  'a suspension': async (tenantry, proxy) => {
    const caught = proxy.count({ ordinal: 4, act: 'before' })
    void settled(tenantry.tenants.suspend('a'))
    await caught
  },
  'an onboarding': async (tenantry, proxy) => {
    const caught = proxy.count({ ordinal: 4, act: 'during' })
    void settled(tenantry.onboard('b'))
    await caught
  },
  'a fleet query': async (tenantry) => {
    void settled(tenantry.forEach((em) => em.execute('select pg_sleep(60) /* of the fleet */')))
    await running('of the fleet')
  },
  'a look into the catalog': async (tenantry, proxy) => {
    const caught = proxy.count({ ordinal: 1, act: 'during' })
    void settled(tenantry.tenants.get('a'))
    await caught
  },
  'an initialisation that never ends': async (tenantry) => {
    const begun = Promise.withResolvers<void>()
    initialising = begun.resolve
    void settled(tenantry.onboard('c'))
    await begun.promise
  },
}
/** Waits for work with any result. */
const settled = (work: Promise<unknown>) => Promise.allSettled([work])
let initialising: () => void = () => undefined

describe('close on a silent network', () => {
  it.each(Object.keys(underWay))('ends within its time with %s under way', async (what) => {
    const { proxy, tenantry } = await openThrough({
      hooks: {
        initialise: async (_, { id }) => {
          if (id !== 'c') return
          initialising()
          await new Promise(() => undefined)
        },
      },
    })
    await underWay[what]?.(tenantry, proxy)
    proxy.freeze()
    expect(await secondsOf(tenantry.close({ deadlineMs: 2_000 }))).toBeLessThan(5)
  })

  it('ends within ten seconds by default', { timeout: 30_000 }, async () => {
    const { proxy, tenantry } = await openThrough()
    await underWay['a suspension']?.(tenantry, proxy)
    expect(await secondsOf(tenantry.close())).toBeLessThan(10.5)
  })
})
