import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { TenantryError } from '../../dist/kernel/errors.js'
import { BatchLoader } from '../../dist/routing/batch-loader.js'
import { errorOf } from '../support/server.ts'

// The loader by itself: its uses are in the suites of admissions and of the directory of domains.

type Answers = (keys: readonly string[]) => Promise<ReadonlyMap<string, string>>

/** Answers every key with itself, in capitals. */
const capitals: Answers = async (keys) => new Map(keys.map((key) => [key, key.toUpperCase()]))
const lost = () => new TenantryError('connection-lost', 'Lost.')

function open() {
  const lookUp = vi.fn<Answers>(capitals)
  const loader = new BatchLoader<string, string>(lookUp)
  return { lookUp, loader, queried: () => lookUp.mock.calls.map(([keys]) => keys) }
}

describe('a batch loader', () => {
  it('lets the next statement begin beside one that is slow, and takes its answer when it comes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { lookUp, loader, queried } = open()
    const slow = Promise.withResolvers<ReadonlyMap<string, string>>()
    lookUp.mockReturnValueOnce(slow.promise)
    const answers = ['a', 'b', 'c'].map((key) => loader.load(key))
    await vi.advanceTimersByTimeAsync(999)
    expect(queried()).toEqual([['a']])
    await vi.advanceTimersByTimeAsync(1)
    expect(queried()).toEqual([['a'], ['b', 'c']])
    expect(await Promise.all(answers.slice(1))).toEqual(['B', 'C'])
    slow.resolve(await capitals(['a']))
    expect(await answers[0]).toBe('A')
    expect(await loader.load('d')).toBe('D')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has no more than one under way again after a slow one', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { lookUp, loader, queried } = open()
    const slow = Promise.withResolvers<ReadonlyMap<string, string>>()
    const usual = Promise.withResolvers<ReadonlyMap<string, string>>()
    lookUp.mockReturnValueOnce(slow.promise).mockReturnValueOnce(usual.promise)
    const answers = ['a', 'b'].map((key) => loader.load(key))
    await vi.advanceTimersByTimeAsync(1_000)
    slow.resolve(await capitals(['a']))
    await answers[0]
    const last = loader.load('c')
    expect(queried()).toEqual([['a'], ['b']])
    usual.resolve(await capitals(['b']))
    expect(await last).toBe('C')
  })

  it('repeats a statement once after a lost connection, and reports the second loss to all', async () => {
    const { lookUp, loader, queried } = open()
    lookUp.mockRejectedValueOnce(lost())
    expect(await loader.load('a')).toBe('A')
    lookUp.mockRejectedValueOnce(lost()).mockRejectedValueOnce(lost())
    expect(await errorOf(loader.load('b'))).toMatchObject({ code: 'connection-lost' })
    expect(await loader.load('b')).toBe('B')
    expect(queried()).toEqual([['a'], ['a'], ['b'], ['b'], ['b']])
  })

  it('does not query again where anything else is wrong', async () => {
    const { lookUp, loader, queried } = open()
    lookUp.mockRejectedValueOnce(new TenantryError('permission-denied', 'Denied.'))
    expect(await errorOf(loader.load('a'))).toMatchObject({ code: 'permission-denied' })
    expect(queried()).toEqual([['a']])
  })
})
