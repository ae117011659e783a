import { mikroOrm } from 'tenantry/mikro-orm'
import type { LeaseEvent, TenantryEvent } from 'tenantry'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf, sql } from '../support/server.ts'
import { openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('a lease', () => {
  it('that lasts too long is reported once, with the line that took it', async () => {
    const tenantry = await openTestTenantry(models, { pool: { leaseWarningMs: 100 } })
    await tenantry.onboard('a')
    const events: TenantryEvent[] = []
    const told = Promise.withResolvers<LeaseEvent>()
    tenantry.on((event) => {
      events.push(event)
      if (event.event === 'lease-held') told.resolve(event)
    })
    const end = Promise.withResolvers<void>()
    async function forgets() {
      await tenantry.with('a', async (em) => {
        await em.begin()
        await em.execute('select 1')
        await end.promise
      })
    }
    const forgetful = forgets()
    const event = await told.promise
    expect(event).toMatchObject({ tenant: 'a' })
    expect(event.heldMs).toBeGreaterThanOrEqual(100)
    expect(event.where.join('\n')).toMatch(/forgets .*leases\.test\.ts:\d+:\d+/)
    expect(event.where.join('\n')).not.toMatch(/node_modules|routing\/tenant-pool/)
    await expect.poll(async () => tenantry.with('a', (em) => em.count(User)), { interval: 100 }).toBe(0)
    end.resolve()
    await forgetful
    expect(events.filter(({ event: kind }) => kind === 'lease-held')).toHaveLength(1)
  })

  it('is reported without its place in production, and later ones with theirs', async () => {
    const tenantry = await openTestTenantry(models, { pool: { leaseWarningMs: 200, traceLeases: false } })
    await tenantry.onboard('a')
    const told = [Promise.withResolvers<LeaseEvent>(), Promise.withResolvers<LeaseEvent>()]
    let events = 0
    tenantry.on((event) => {
      if (event.event === 'lease-held') told[events++]?.resolve(event)
    })
    const end = Promise.withResolvers<void>()
    const forget = () =>
      tenantry.with('a', (em) =>
        em.transactional(async (tx) => {
          await tx.execute('select 1')
          await end.promise
        }),
      )
    const first = forget()
    expect(await told[0]?.promise).toMatchObject({ tenant: 'a', where: [] })
    const second = forget()
    expect((await told[1]?.promise)?.where.join('\n')).toMatch(/forget .*leases\.test\.ts/)
    end.resolve()
    await Promise.all([first, second])
  })

  it('of a tenant that has its share waits, and another tenant is served', async () => {
    const config = { postgres: { maxConnections: 4 }, pool: { tenantShare: 0.5, waitMs: 200 } }
    const tenantry = await openTestTenantry(models, config)
    for (const id of ['greedy', 'polite']) await tenantry.onboard(id)
    const end = Promise.withResolvers<void>()
    const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const holding = begun.map(({ resolve }) =>
      tenantry.with('greedy', (em) =>
        em.transactional(async (tx) => {
          await tx.execute('select 1')
          resolve()
          await end.promise
        }),
      ),
    )
    await Promise.all(begun.map(({ promise }) => promise))
    expect(await errorOf(tenantry.with('greedy', (em) => em.count(User)))).toMatchObject({ code: 'pool-timeout' })
    expect(await tenantry.with('polite', (em) => em.count(User))).toBe(0)
    const waiting = tenantry.with('greedy', (em) => em.count(User))
    end.resolve()
    expect(await waiting).toBe(0)
    await Promise.all(holding)
  })

  it('leaves its settings to the next of the same tenant, unless connections are reset', async () => {
    const dirty = `set app.mark = 'dirt'; create temporary table dirt (); prepare mine as select 1; listen dirt`
    const found = `select coalesce(current_setting('app.mark', true), '') as mark, to_regclass('pg_temp.dirt') as dirt,
      (select count(*)::int from pg_prepared_statements) as prepared, current_setting('statement_timeout') as timeout`
    for (const [resetConnections, kept] of [
      [false, { mark: 'dirt', dirt: 'dirt', prepared: 1, timeout: '30s' }],
      [true, { mark: '', dirt: null, prepared: 0, timeout: '30s' }],
    ] as const) {
      const config = {
        pool: { reset: resetConnections },
        postgres: { maxConnections: 1 },
        session: { statementTimeoutMs: 30_000 },
      }
      const tenantry = await openTestTenantry(models, config)
      await tenantry.onboard('a')
      await tenantry.with('a', (em) => em.execute(dirty))
      expect(await tenantry.with('a', (em) => em.execute(found))).toEqual([kept])
      await tenantry.close()
    }
  })

  it('is limited by the room of the server, for any configuration', async () => {
    const [row] = await sql<{ room: number }>(
      `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as room`,
    )
    const tenantry = await openTestTenantry(models, { postgres: { maxConnections: 4_000 }, pool: { waitMs: 1 } })
    await tenantry.onboard('a')
    await tenantry.with('a', (em) => em.count(User))
    const [lock] = await sql<{ share: number }>(
      `select objid::bigint & 4095 as share from pg_locks join pg_database on pg_database.oid = database
       where locktype = 'advisory' and objsubid = 2 and datname = $1`,
      [`${tenantry.installation}_catalog`],
    )
    expect(Number(lock?.share)).toBeLessThan(row!.room)
  })
})
