import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Identifier } from '../../dist/kernel/names.js'
import { OpeningLimit } from '../../dist/routing/opening-limit.js'
import { ServerBudget } from '../../dist/routing/server-budget.js'
import type { ServerConnection } from '../../dist/server/port.js'
import { acquire, fixed } from './budget.ts'
import { FakeConnection, FakeServer, to } from './fake-server.ts'

describe('how many connections are opened at once', () => {
  it('grows while each takes as long as one alone, up to all, and shrinks when each takes longer', () => {
    const limit = new OpeningLimit()
    expect(limit.among(50)).toBe(7)
    for (let opened = 0; opened < 2_000; opened++) limit.learn(10, 50)
    expect(limit.among(50)).toBe(50)
    for (let opened = 0; opened < 1_500; opened++) limit.learn(100, 50)
    expect(limit.among(50)).toBe(7)
  })

  it('is never more than there may be', () => {
    expect([1, 3, 10, 100].map((places) => new OpeningLimit().among(places))).toEqual([1, 3, 4, 13])
  })

  it('forgets how long one alone took, since a server may become another', () => {
    const limit = new OpeningLimit()
    limit.learn(1, 50)
    for (let opened = 0; opened < 5_000; opened++) limit.learn(25, 50)
    expect(limit.among(50)).toBe(50)
  })
})

/** A server whose connections open on command. */
class SlowServer extends FakeServer {
  readonly opening: { readonly database: string; readonly succeed: () => void }[] = []
  override open = (database: Identifier) =>
    new Promise<ServerConnection>((resolve) => {
      this.opening.push({ database, succeed: () => resolve(new FakeConnection(database, () => undefined)) })
    })
  succeed(): void {
    this.opening.shift()?.succeed()
  }
}

describe('a budget, while as many are being opened as may be', () => {
  afterEach(() => vi.useRealTimers())

  it('leases a released connection to a waiter of the same tenant, and keeps those of others', async () => {
    const server = new SlowServer()
    const budget = new ServerBudget({ server, waitMs: 10_000 }, fixed(6))
    const opened = (databases: string[]) =>
      vi.waitFor(() => expect(server.opening.map(({ database }) => database)).toEqual(databases))
    const first = acquire(budget, to('a'))
    await opened(['a'])
    server.succeed()
    const leased = await first
    const pending = ['b', 'c', 'd', 'e', 'f', 'a'].map((tenant) => acquire(budget, to(tenant)))
    await opened(['b', 'c', 'd', 'e'])
    await budget.release(leased, false)
    expect(await pending[5]).toBe(leased)
    await budget.release(leased, false)
    expect(await acquire(budget, to('a'))).toBe(leased)
    server.succeed()
    await pending[0]
    await opened(['c', 'd', 'e', 'f'])
  })

  it('closes those of others one at a time for a tenant that has one already, and at once for one that has none', async () => {
    const server = new SlowServer()
    const budget = new ServerBudget({ server, waitMs: 10_000 }, fixed(4))
    const opened = (databases: string[]) =>
      vi.waitFor(() => expect(server.opening.map(({ database }) => database)).toEqual(databases))
    for (const tenant of ['a', 'b', 'c', 'd']) {
      const asked = acquire(budget, to(tenant))
      await opened([tenant])
      server.succeed()
      if (tenant !== 'a') await budget.release(await asked, false)
    }
    const more = [acquire(budget, to('a')), acquire(budget, to('a'))]
    const other = acquire(budget, to('e'))
    await opened(['a', 'e'])
    server.succeed()
    await more[0]
    await opened(['e', 'a'])
    server.succeed()
    expect(await other).toMatchObject({ database: 'e' })
    server.succeed()
    await more[1]
  })

  it('stops counting a slow opening, so that a locked database delays no other', async () => {
    vi.useFakeTimers()
    const server = new SlowServer()
    const budget = new ServerBudget({ server, waitMs: 10_000 }, fixed(6))
    const pending = ['a', 'a', 'a', 'a', 'b'].map((tenant) => acquire(budget, to(tenant)))
    await vi.advanceTimersByTimeAsync(0)
    expect(server.opening).toHaveLength(4)
    await vi.advanceTimersByTimeAsync(250)
    expect(server.opening.at(-1)?.database).toBe('b')
    server.opening.at(-1)?.succeed()
    expect(await pending[4]).toMatchObject({ database: 'b' })
  })
})
