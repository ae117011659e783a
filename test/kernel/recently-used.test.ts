import { expect, it } from 'vitest'
import { RecentlyUsed } from '../../dist/kernel/recently-used.js'

it('forgets the least recently used, and calls back', () => {
  const forgotten: number[] = []
  const kept = new RecentlyUsed<string, number>(2, (value) => forgotten.push(value))
  kept.set('a', 1)
  kept.set('b', 2)
  kept.get('b')
  expect(kept.get('a')).toBe(1)
  kept.set('c', 3)
  expect([forgotten, [...kept.values()]]).toEqual([[2], [1, 3]])
  expect(kept.peek('a')).toBe(1)
  kept.set('d', 4)
  expect([forgotten, [...kept.values()]]).toEqual([
    [2, 1],
    [3, 4],
  ])
})

it('does not call back for deleted or replaced values', () => {
  const forgotten: number[] = []
  const kept = new RecentlyUsed<string, number>(2, (value) => forgotten.push(value))
  kept.set('a', 1)
  expect(kept.delete('a')).toBe(true)
  expect(kept.get('a')).toBeUndefined()
  kept.set('a', 2)
  kept.set('a', 3)
  kept.set('b', 4)
  kept.get('a')
  kept.set('c', 5)
  expect([forgotten, [...kept.values()]]).toEqual([[4], [3, 5]])
})
