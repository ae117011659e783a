import { describe, expect, it } from 'vitest'
import { ConcurrencyLimit } from '../../dist/kernel/concurrency.js'
import { untilAborted } from '../../dist/kernel/abort.js'
import { errorOf } from '../support/server.ts'

describe('a concurrency limit', () => {
  it('runs so many at once and no more, in the order they came', async () => {
    const limit = new ConcurrencyLimit(2)
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
    const begun: number[] = []
    const all = gates.map((gate, i) =>
      limit.run(async () => {
        begun.push(i)
        await gate.promise
        return i
      }, undefined),
    )
    expect(begun).toEqual([0, 1])
    gates[1]?.resolve()
    await all[1]
    await expect.poll(() => begun).toEqual([0, 1, 2])
    for (const gate of gates) gate.resolve()
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3, 4])
    expect(begun).toEqual([0, 1, 2, 3, 4])
  })

  it('follows a number that changes, as work begins or ends', async () => {
    let max = 1
    const limit = new ConcurrencyLimit(() => max)
    const leaveFirst = await limit.enter(undefined)
    const entered: number[] = []
    const waiting = [0, 1, 2].map(async (i) => {
      const leave = await limit.enter(undefined)
      entered.push(i)
      return leave
    })
    max = 2
    leaveFirst()
    const [leaveSecond, leaveThird] = await Promise.all(waiting.slice(0, 2))
    expect(entered).toEqual([0, 1])
    max = 1
    leaveSecond?.()
    // A second call gives back nothing.
    leaveSecond?.()
    leaveThird?.()
    await waiting[2]
    const last = limit.run(async () => 'last', AbortSignal.timeout(0))
    expect(await errorOf(last)).toMatchObject({ code: 'aborted' })
  })

  it('gives a place back after a failure, and skips a waiter that gave up', async () => {
    const limit = new ConcurrencyLimit(1)
    const gate = Promise.withResolvers<void>()
    const first = limit.run(() => gate.promise, undefined)
    const controller = new AbortController()
    let ran = false
    const second = limit.run(async () => (ran = true), controller.signal)
    const third = limit.run(async () => 'third', undefined)
    controller.abort()
    expect(await errorOf(second)).toMatchObject({ code: 'aborted' })
    gate.reject(new Error('first'))
    expect(await errorOf(first)).toMatchObject({ message: 'first' })
    expect(await third).toBe('third')
    expect(ran).toBe(false)
  })
})

describe('waiting until aborted', () => {
  it('leaves no rejection unhandled when the work fails afterwards', async () => {
    const work = Promise.withResolvers<void>()
    const waiting = untilAborted(work.promise, AbortSignal.abort())
    expect(await errorOf(waiting)).toMatchObject({ code: 'aborted' })
    work.reject(new Error('later'))
  })
})
