import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Allowance, ServerBudget } from '../../dist/routing/server-budget.js'
import { errorOf } from '../support/server.ts'
import { acquire, fixed } from './budget.ts'
import { fake, FakeServer, to } from './fake-server.ts'

// The accounting by itself, on connections that fail on command. Routing on a real server is tested with the tenants.

const [a, b, c] = ['a', 'b', 'c'] as const

const budgetOf = (server: FakeServer, waitMs = 50) => new ServerBudget({ server, waitMs }, fixed(2))

describe('a budget', () => {
  it('gives the same idle connection to the same database again, and closes the oldest for another', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server)
    const first = await acquire(budget, to(a))
    await budget.release(first, false)
    expect(await acquire(budget, to(a))).toBe(first)
    await budget.release(first, false)
    const second = await acquire(budget, to(b))
    const third = await acquire(budget, to(b))
    expect(fake(first).broken).toBe(true)
    expect([second, third].map((connection) => fake(connection).database)).toEqual(['b', 'b'])
    expect(server.peak).toBe(2)
  })

  it('never reuses a connection that ended as it was opened', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server)
    server.stillborn = true
    const dead = await acquire(budget, to(a))
    await budget.release(dead, false)
    server.stillborn = false
    const alive = await acquire(budget, to(a))
    expect(alive).not.toBe(dead)
    await budget.release(alive, false)
    await budget.close(1_000)
    expect(server.now).toBe(0)
  })

  it('still replaces idle connections after some ended as they were opened', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server)
    server.stillborn = true
    await budget.release(await acquire(budget, to(a)), false)
    server.stillborn = false
    const both = [await acquire(budget, to(a)), await acquire(budget, to(a))]
    for (const connection of both) await budget.release(connection, false)
    expect(fake(await acquire(budget, to(b))).database).toBe('b')
    expect(server.peak).toBe(2)
  })

  it("serves a waiter for its tenant's share when an opened connection may not be kept", async () => {
    const server = new FakeServer()
    const share = { ...fixed(2), isHeld: true, isRefused: false }
    const allowance = {
      ...share,
      holds: () => share.isHeld,
      ensure: async () => {
        if (share.isRefused) throw new Error('no catalog')
      },
    }
    const budget = new ServerBudget({ server, waitMs: 500, tenantShare: 0.5 }, allowance)
    const open = server.open
    const opening = Promise.withResolvers<void>()
    server.open = async (database) => {
      await opening.promise
      return open(database)
    }
    const first = acquire(budget, to(a))
    const second = acquire(budget, to(a))
    await vi.waitFor(() => expect(budget.open).toBe(1))
    share.isHeld = false
    share.isRefused = true
    opening.resolve()
    expect(await errorOf(first)).toMatchObject({ message: 'no catalog' })
    expect(await errorOf(second)).toMatchObject({ message: 'no catalog' })
  })

  it("serves a waiter for its tenant's share when a connection that had ended is released", async () => {
    const server = new FakeServer()
    const budget = new ServerBudget({ server, waitMs: 500, tenantShare: 0.5 }, fixed(2))
    server.stillborn = true
    const dead = await acquire(budget, to(a))
    server.stillborn = false
    const waiting = acquire(budget, to(a))
    await budget.release(dead, false)
    expect(fake(await waiting).broken).toBe(false)
  })

  it('closes a connection that broke during its lease, and rolls back one that was left in a transaction', async () => {
    const budget = budgetOf(new FakeServer())
    const connection = fake(await acquire(budget, to(a)))
    connection.transaction = true
    await budget.release(connection, false)
    expect(connection).toMatchObject({ transaction: false, broken: false })
    const again = fake(await acquire(budget, to(a)))
    again.end()
    await budget.release(again, false)
    expect(await acquire(budget, to(a))).not.toBe(again)
  })

  it('checks a connection that was idle for long, and replaces one that does not answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const server = new FakeServer()
    const budget = budgetOf(server, 10_000)
    const first = fake(await acquire(budget, to(a)))
    await budget.release(first, false)
    expect(await acquire(budget, to(a))).toBe(first)
    await budget.release(first, false)
    expect(first.asked).toBe(0)
    await vi.advanceTimersByTimeAsync(6_000)
    expect(await acquire(budget, to(a))).toBe(first)
    expect(first.asked).toBe(1)
    await budget.release(first, false)
    first.silent = true
    await vi.advanceTimersByTimeAsync(6_000)
    const asking = acquire(budget, to(a))
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await asking).not.toBe(first)
    expect(first.broken).toBe(true)
    expect(server.now).toBe(1)
  })

  it('closes surplus connections of a smaller capacity, idle ones at once and busy ones on release', async () => {
    const server = new FakeServer()
    let setCapacity: (capacity: number) => void = () => undefined
    const budget = new ServerBudget(
      { server, waitMs: 10_000 },
      {
        ...fixed(4),
        serve: (served) => {
          setCapacity = (capacity) => served.setCapacity(capacity)
          setCapacity(4)
        },
      },
    )
    const held = await Promise.all([a, a, b, c].map((database) => acquire(budget, to(database))))
    await budget.release(held[3]!, false)
    setCapacity(2)
    expect(server.now).toBe(3)
    const waiting = acquire(budget, to(c))
    await budget.release(held[0]!, false)
    expect(server.now).toBe(2)
    await budget.release(held[1]!, false)
    expect(fake(await waiting).database).toBe('c')
    expect(server.now).toBe(2)
    const more = [acquire(budget, to(a)), acquire(budget, to(a))]
    setCapacity(4)
    await Promise.all(more)
    expect(server.now).toBe(4)
    expect(server.peak).toBe(4)
  })

  it('refuses a waiter that loses a place during the close', async () => {
    const opening = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const server = new FakeServer()
    const open = server.open
    server.open = async (database) => {
      begun.resolve()
      await opening.promise
      return open(database)
    }
    const allowance = { ...fixed(1), holds: () => false }
    const budget = new ServerBudget({ server, waitMs: 10_000 }, allowance)
    const asking = errorOf(acquire(budget, to(a)))
    await begun.promise
    await budget.close(1_000)
    opening.resolve()
    expect(await asking).toMatchObject({ code: 'closed' })
    expect([budget.open, server.now]).toEqual([0, 0])
  })

  it('serves waiters in turn, and refuses one that has waited too long', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server)
    const held = [await acquire(budget, to(a)), await acquire(budget, to(a))] as const
    const error = await errorOf(acquire(budget, to(b)))
    expect(error).toMatchObject({ code: 'pool-timeout', tenant: 'b', retryable: true })
    expect(error).toMatchObject({ message: expect.stringMatching(/busy for 50 ms: a has 2, for up to \d+ ms\.$/) })
    const waiting = acquire(budget, to(b))
    await budget.release(held[0], false)
    expect(fake(await waiting).database).toBe('b')
    expect(server.peak).toBe(2)
  })

  it('gives the next connection to the tenant with the fewest, and among equals to the longest waiter', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server, 10_000)
    const held = [await acquire(budget, to(a)), await acquire(budget, to(a))] as const
    const order: string[] = []
    const ask = async (database: string) => {
      const connection = await acquire(budget, to(database))
      order.push(database)
      return connection
    }
    const greedy = Array.from({ length: 20 }, () => ask(a))
    const polite = [ask(b), ask(c)] as const
    await budget.release(held[0], false)
    await budget.release(await polite[0], false)
    const last = await polite[1]
    expect(order).toEqual(['b', 'c'])
    // Now no tenant has more than another.
    await budget.release(held[1], false)
    await budget.release(last, false)
    for (const asking of greedy) await budget.release(await asking, false)
    expect(order).toHaveLength(22)
    expect(server.peak).toBe(2)
    await budget.close(1_000)
    expect(server.now).toBe(0)
  })

  it('gives the place back when a connection cannot be opened', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server)
    server.refusing = true
    for (let i = 0; i < 5; i++) expect(await errorOf(acquire(budget, to(a)))).toMatchObject({ message: 'refused' })
    server.refusing = false
    expect(fake(await acquire(budget, to(a))).database).toBe('a')
    expect(fake(await acquire(budget, to(b))).database).toBe('b')
  })

  it('holds under random work: never over the budget, and everything closed at the end', async () => {
    const server = new FakeServer()
    const budget = budgetOf(server, 10_000)
    const random = randomOf(42)
    const work = async () => {
      for (let i = 0; i < 200; i++) {
        const database = random() < 0.5 ? a : b
        server.refusing = random() < 0.05
        server.stillborn = random() < 0.05
        const connection = await acquire(budget, to(database)).catch(() => undefined)
        if (connection === undefined) continue
        expect(fake(connection).database).toBe(database)
        await turn()
        if (random() < 0.1) fake(connection).end()
        if (random() < 0.1) fake(connection).transaction = true
        await budget.release(connection, random() < 0.1)
      }
    }
    await Promise.all(Array.from({ length: 8 }, work))
    server.refusing = false
    server.stillborn = false
    const last = await Promise.all([acquire(budget, to(a)), acquire(budget, to(b))])
    expect(last.map((connection) => fake(connection).database)).toEqual(['a', 'b'])
    await budget.release(last[0], false)
    await budget.release(last[1], false)
    await budget.close(1_000)
    expect(server.peak).toBe(2)
    expect(server.now).toBe(0)
  })

  it.each(Array.from({ length: 25 }, (_, i) => i + 1))(
    'forgets nobody and no place while the capacity changes and shares are lost (seed %i)',
    async (seed) => {
      const random = randomOf(seed)
      const server = new FakeServer()
      let serve: Parameters<Allowance['serve']>[0] | undefined
      const allowance: Allowance = {
        ...fixed(2),
        serve: (budget) => {
          serve = budget
          budget.setCapacity(2)
        },
        ensure: async () => {
          await turn()
          if (random() < 0.05) throw new Error('no share')
        },
        holds: () => random() > 0.05,
      }
      // A waiter of that age was forgotten: nothing here takes longer than a turn of the event loop.
      const waitMs = 2_000
      const options = { server, waitMs, tenantShare: seed % 2 === 0 ? 0.5 : 1 }
      const budget = new ServerBudget(options, allowance)
      const work = async () => {
        for (let i = 0; i < 60; i++) {
          const database = random() < 0.5 ? a : random() < 0.5 ? b : c
          server.refusing = random() < 0.05
          server.stillborn = random() < 0.05
          const given = await acquire(budget, to(database)).catch((error: unknown) => error)
          expect(given).not.toMatchObject({ code: 'pool-timeout' })
          if (given instanceof Error) continue
          const connection = fake(given)
          expect(connection.database).toBe(database)
          await turn()
          if (random() < 0.1) connection.end()
          await budget.release(connection, random() < 0.1)
        }
      }
      const workers = Array.from({ length: 8 }, work)
      for (let change = 0; change < 4; change++) {
        serve?.setCapacity(Math.floor(random() * 6))
        for (let i = 0; i < 5; i++) await turn()
        serve?.setCapacity(1 + Math.floor(random() * 4))
        // Long enough that a forgotten waiter is not served by the next change.
        for (let i = 0; i < 50; i++) await turn()
      }
      await Promise.all(workers)
      expect(budget.open).toBe(server.now)
      expect([...budget.leases]).toEqual([])
      await budget.close(1_000)
      expect([budget.open, server.now]).toEqual([0, 0])
    },
  )
})

function randomOf(seed: number): () => number {
  let state = seed * 7_919
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
