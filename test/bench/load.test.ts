import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { IdealCache } from '../../bench/measure/ideal-cache.ts'
import { drive, endless, p99, requireNoErrors } from '../../bench/measure/load.ts'
import { Popularity } from '../../bench/measure/popularity.ts'
import { peakConnections } from '../../bench/measure/server-connections.ts'
import { uniqueName } from '../support/server.ts'

test('workers take from one queue, and a failure is counted and stops no worker', async () => {
  let underWay = 0
  let most = 0
  const seen: number[] = []
  const load = await drive([1, 2, 3, 4, 5, 6], 3, async (item) => {
    most = Math.max(most, ++underWay)
    await new Promise((resolve) => setImmediate(resolve))
    underWay--
    seen.push(item)
    if (item === 4) throw new Error('no')
  })
  expect(seen).toEqual([1, 2, 3, 4, 5, 6])
  expect(most).toBe(3)
  expect(load).toMatchObject({ requests: 6, errors: [{ message: 'no' }] })
  expect(load.latencies).toHaveLength(5)
  expect(() => requireNoErrors(load)).toThrow('1 of 6 requests failed.')
})

test('an endless queue ends when it is stopped', async () => {
  const stop = new AbortController()
  let given = 0
  const load = await drive(
    endless(() => ++given, stop.signal),
    4,
    async (item) => {
      if (item === 100) stop.abort()
    },
  )
  expect(load.requests).toBeGreaterThanOrEqual(100)
  expect(load.requests).toBeLessThan(110)
})

test('a 99th percentile is the nearest rank', () => {
  expect(p99({ latencies: Array.from({ length: 200 }, (_, place) => place + 1) })).toBe(198)
})

test('requests follow the law, and repeat with the seed', () => {
  const drawn = new Popularity(1_000, 1).draw(100_000, 'seed')
  expect(new Popularity(1_000, 1).draw(100_000, 'seed')).toEqual(drawn)
  const share = (place: number) => drawn.filter((tenant) => tenant === place).length / drawn.length
  // 1 of the sum of 1/1 to 1/1000, 7.485.
  expect(share(0)).toBeCloseTo(1 / 7.485, 2)
  expect(share(9)).toBeCloseTo(1 / 74.85, 2)
  expect(Math.max(...drawn)).toBeLessThan(1_000)
  const alike = new Popularity(4, 0).draw(100_000, 'seed')
  expect(alike.filter((tenant) => tenant === 3).length / alike.length).toBeCloseTo(1 / 4, 2)
})

test('an ideal cache forgets the least recently used, and remembers from one turn to the next', () => {
  const cache = new IdealCache(2)
  expect(cache.missRate([1, 2, 1, 3, 1, 2])).toBe(4 / 6)
  expect(cache.missRate([1, 2])).toBe(0)
})

test("the most connections at once are those that the server's log has, of one application", async () => {
  const file = join(tmpdir(), `${uniqueName()}.log`)
  onTestFinished(() => rm(file))
  const line = (pid: number, text: string) => `2026-01-01 00:00:00.000 UTC [${pid}] LOG:  ${text}`
  const begin = (pid: number) => line(pid, 'connection received: host=127.0.0.1 port=1')
  const name = (pid: number, application: string) =>
    line(pid, `connection authorized: user=a database=b application_name=${application}`)
  const end = (pid: number) => line(pid, 'disconnection: session time: 0:00:00.001 user=a database=b')
  const log = [
    [begin(1), begin(2), name(1, 'routed'), name(2, 'other')],
    // A process id is reused; that of a refused connection belongs to no one.
    [end(1), begin(1), begin(3), name(3, 'routed'), begin(4), end(4)],
    // A received request counts, though its connection is known only later.
    [begin(5), end(3), name(1, 'routed'), name(5, 'routed'), end(5)],
  ].flat()
  await writeFile(file, log.join('\n'))
  expect(await peakConnections(file, 'routed')).toBe(3)
  expect(await peakConnections(file, 'other')).toBe(1)
})
