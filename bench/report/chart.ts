import type { Facts } from '../facts.ts'
import type { Result } from '../result.ts'
import { formatNumber } from './number.ts'

const width = 760
const margin = 20
const nameWidth = 220
const valueWidth = 90
const barsWidth = width - 2 * margin - nameWidth - valueWidth
const titleHeight = 40
const rowHeight = 24
const barHeight = 14
const panelGap = 14
const footHeight = 34

/** Colours of the page around it, light or dark, since the image has none of its own behind it. */
const style = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .quiet { fill: #59636e }
  .bar { fill: #afb8c1 }
  .own { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .bar { fill: #656c76 }
    .own { fill: #3fb950 }
  }`

/** The results that have a place in the chart as an SVG image: a panel each, and in it a bar for each contender. */
export function renderChart(results: readonly Result[], facts: Facts): string {
  const panels: string[] = []
  let top = 0
  for (const result of results) {
    if (result.chart === undefined) continue
    panels.push(renderPanel(result, result.chart, top))
    top += titleHeight + result.rows.length * rowHeight + panelGap
  }
  const height = top + footHeight
  const foot = `Medians of one run, in turns, on ${facts.processors}, PostgreSQL ${facts.postgres}, Node.js ${facts.node}.`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>Tenantry beside what services otherwise do; shorter is better</title>`,
    `<style>${style}\n</style>`,
    ...panels,
    text({ x: margin, y: height - 14, kind: 'quiet', content: foot }),
    `</svg>\n`,
  ].join('\n')
}

function renderPanel(result: Result, { title, column }: NonNullable<Result['chart']>, top: number): string {
  const unit = result.columns[column]?.unit ?? 'ms'
  const values = result.rows.map((row) => row.values[column] ?? 0)
  const largest = Math.max(...values)
  const rows = result.rows.map(({ name }, place) => {
    const value = values[place] ?? 0
    return renderRow({
      name,
      value: formatNumber(value, unit),
      part: value / largest,
      y: top + titleHeight + place * rowHeight,
    })
  })
  return [text({ x: margin, y: top + 26, kind: 'title', content: title }), ...rows].join('\n')
}

interface ChartRow {
  readonly name: string
  readonly value: string
  /** The length of its bar, as a part of the longest. */
  readonly part: number
  readonly y: number
}

/** The name is in a column of its own; the figure stands at the end of its bar. A bar is never too short to be seen. */
function renderRow({ name, value, part, y }: ChartRow): string {
  const length = Math.max(2, part * barsWidth)
  const left = margin + nameWidth
  const kind = name.startsWith('Tenantry') ? 'own' : 'bar'
  return [
    text({ x: margin, y: y + 12, kind: 'name', content: name }),
    `<rect class="${kind}" x="${left}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`,
    text({ x: left + length + 8, y: y + 12, kind: 'quiet', content: value }),
  ].join('\n')
}

interface Text {
  readonly x: number
  readonly y: number
  readonly kind: 'title' | 'name' | 'quiet'
  readonly content: string
}

function text({ x, y, kind, content }: Text): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y}">${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
