import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { TenantryError } from '../../dist/kernel/errors.js'
import { Inquiry } from '../../dist/routing/inquiry.js'
import { errorOf } from '../support/server.ts'

// By itself: what is made of it is in the suites of admissions and of the directory of domains.

type Answers = (keys: readonly string[]) => Promise<ReadonlyMap<string, string>>

/** Answers every key with itself, in capitals. */
const capitals: Answers = async (keys) => new Map(keys.map((key) => [key, key.toUpperCase()]))
const lost = () => new TenantryError('connection-lost', 'Lost.')

function open() {
  const lookUp = vi.fn<Answers>(capitals)
  const inquiry = new Inquiry<string, string>(lookUp)
  return { lookUp, inquiry, asked: () => lookUp.mock.calls.map(([keys]) => keys) }
}

describe('an inquiry', () => {
  it('lets the next statement begin beside one that is slow, and takes its answer when it comes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { lookUp, inquiry, asked } = open()
    const slow = Promise.withResolvers<ReadonlyMap<string, string>>()
    lookUp.mockReturnValueOnce(slow.promise)
    const answers = ['a', 'b', 'c'].map((key) => inquiry.ask(key))
    await vi.advanceTimersByTimeAsync(999)
    expect(asked()).toEqual([['a']])
    await vi.advanceTimersByTimeAsync(1)
    expect(asked()).toEqual([['a'], ['b', 'c']])
    expect(await Promise.all(answers.slice(1))).toEqual(['B', 'C'])
    slow.resolve(await capitals(['a']))
    expect(await answers[0]).toBe('A')
    expect(await inquiry.ask('d')).toBe('D')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has no more than one under way again after a slow one', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { lookUp, inquiry, asked } = open()
    const [slow, usual] = [1, 2].map(() => Promise.withResolvers<ReadonlyMap<string, string>>())
    lookUp.mockReturnValueOnce(slow?.promise as never).mockReturnValueOnce(usual?.promise as never)
    const answers = ['a', 'b'].map((key) => inquiry.ask(key))
    await vi.advanceTimersByTimeAsync(1_000)
    slow?.resolve(await capitals(['a']))
    await answers[0]
    const last = inquiry.ask('c')
    expect(asked()).toEqual([['a'], ['b']])
    usual?.resolve(await capitals(['b']))
    expect(await last).toBe('C')
  })

  it('asks once more where the connection was lost, and says so the second time to all', async () => {
    const { lookUp, inquiry, asked } = open()
    lookUp.mockRejectedValueOnce(lost())
    expect(await inquiry.ask('a')).toBe('A')
    lookUp.mockRejectedValueOnce(lost()).mockRejectedValueOnce(lost())
    expect(await errorOf(inquiry.ask('b'))).toMatchObject({ code: 'connection-lost' })
    expect(await inquiry.ask('b')).toBe('B')
    expect(asked()).toEqual([['a'], ['a'], ['b'], ['b'], ['b']])
  })

  it('does not ask again where anything else is wrong', async () => {
    const { lookUp, inquiry, asked } = open()
    lookUp.mockRejectedValueOnce(new TenantryError('permission-denied', 'Denied.'))
    expect(await errorOf(inquiry.ask('a'))).toMatchObject({ code: 'permission-denied' })
    expect(asked()).toEqual([['a']])
  })
})
