import { expect, test } from 'vitest'
import { inAlternation } from '../../bench/measure/alternation.ts'
import { summarise } from '../../bench/measure/statistics.ts'
import { renderChart } from '../../bench/report/chart.ts'
import { formatNumber } from '../../bench/report/number.ts'
import { renderResult } from '../../bench/report/table.ts'
import type { Result } from '../../bench/result.ts'

const result: Result = {
  number: 1,
  title: 'A new tenant',
  columns: [{ title: 'median', unit: 'ms' }],
  rows: [
    { name: 'Tenantry', values: [4.5] },
    { name: '<peer>', values: [90] },
  ],
  targets: [
    { what: 'faster', sense: 'at least', wanted: 20, measured: 20, unit: 'times' },
    { what: 'as quick', sense: 'at most', wanted: 1.3, measured: 1.31, unit: 'times' },
  ],
  notes: [],
  chart: { title: 'A new tenant', column: 0 },
}

test('the median of an even number lies between two samples, a percentile is one of them', () => {
  const samples = Array.from({ length: 20 }, (_, place) => 20 - place)
  expect(summarise(samples)).toEqual({ samples: 20, median: 10.5, p95: 19, mean: 10.5 })
  expect(summarise([3, 1, 2])).toEqual({ samples: 3, median: 2, p95: 3, mean: 2 })
})

test('turns alternate, each round is another order, and the first is not counted', async () => {
  const turns: string[] = []
  const samples = await inAlternation(['a', 'b', 'c'], { warmUp: 1, counted: 3 }, async (name, round) => {
    turns.push(name)
    return [round]
  })
  expect(turns.join('')).toBe('abccbabcaacb')
  expect([...samples]).toEqual(['a', 'b', 'c'].map((name) => [name, [1, 2, 3]]))
})

test('a table shows a target that was missed as missed', () => {
  const text = renderResult(result)
  expect(text).toContain('met     faster: 20x, wanted at least 20x')
  expect(text).toContain('MISSED  as quick: 1.31x, wanted at most 1.30x')
})

test('a chart has a bar for each contender, as long as its figure', () => {
  const chart = renderChart([result, { ...result, chart: undefined }], {
    date: '',
    processors: '2 x Any',
    memory: '',
    system: '',
    node: '24.0.0',
    postgres: '18.0',
    settings: {},
    versions: {},
  })
  const [own = 0, peer = 0] = [...chart.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width))
  expect(peer / own).toBeCloseTo(20, 0)
  expect(chart).toContain('&lt;peer>')
})

test.each([
  [4.517, 'ms', '4.52 ms'],
  [45.17, 'ms', '45.2 ms'],
  [4517.1, 'ms', '4,517 ms'],
  [7, 'count', '7'],
  [undefined, 'MB', '-'],
] as const)('%s in %s reads %s', (value, unit, text) => {
  expect(formatNumber(value, unit)).toBe(text)
})
