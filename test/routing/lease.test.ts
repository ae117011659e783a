import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Admission } from '../../dist/routing/admissions.js'
import { ServerBudget } from '../../dist/routing/server-budget.js'
import { TenantPool } from '../../dist/routing/tenant-pool.js'
import { acquire, fixed } from './budget.ts'
import { FakeServer, to } from './fake-server.ts'

const waitMs = 1_000

/** A tenant's pool on a budget of one connection, which is busy. */
async function open(gate: () => Admission | Promise<Admission>) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const budget = new ServerBudget({ server: new FakeServer(), waitMs }, fixed(1))
  const busy = await acquire(budget, to('a'))
  const pool = new TenantPool(budget, { gate, loginOf: () => undefined, scope: () => undefined })
  return { budget, pool, free: () => budget.release(busy, false) }
}

/** Returns an admission that the test can invalidate. */
function admission(): Admission & { valid: boolean } {
  const given = { valid: true, row: to('a'), isValid: () => given.valid }
  return given
}

describe('how long a connection is waited for', () => {
  it('does not count the time of the catalog', async () => {
    const asked = Promise.withResolvers<Admission>()
    const { pool, free } = await open(() => asked.promise)
    const connecting = pool.connect()
    await vi.advanceTimersByTimeAsync(2 * waitMs)
    asked.resolve(admission())
    await vi.advanceTimersByTimeAsync(waitMs / 2)
    await free()
    await expect(connecting).resolves.toBeDefined()
  })

  it('counts from when it was first waited for, where the tenant was taken out of service meanwhile', async () => {
    const [first, second] = [admission(), admission()]
    const gate = vi.fn<() => Admission>().mockReturnValueOnce(first).mockReturnValue(second)
    const { budget, pool, free } = await open(gate)
    const refused = vi.fn<(error: unknown) => void>()
    pool.connect().catch(refused)
    await vi.advanceTimersByTimeAsync(waitMs / 2)
    const next = acquire(budget, to('a'))
    first.valid = false
    await free()
    await next
    expect(gate).toHaveBeenCalledTimes(2)
    expect(refused).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(waitMs / 2)
    expect(refused).toHaveBeenCalledWith(expect.objectContaining({ code: 'pool-timeout' }))
  })
})
