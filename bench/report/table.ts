import type { Facts } from '../facts.ts'
import { isMet, type Result, type Target } from '../result.ts'
import { formatNumber } from './number.ts'

/** A result as text: its table, its targets, met or missed, and its notes. */
export function renderResult(result: Result): string {
  const head = ['', ...result.columns.map(({ title }) => title)]
  const body = result.rows.map(({ name, values }) => [
    name,
    ...result.columns.map(({ unit }, column) => formatNumber(values[column], unit)),
  ])
  return [
    `${result.number}. ${result.title}`,
    '',
    ...aligned([head, ...body]),
    '',
    ...result.targets.map(renderTarget),
    ...result.notes.map((note) => `  ${note}`),
    '',
  ].join('\n')
}

function renderTarget(target: Target): string {
  const { what, sense, wanted, measured, unit } = target
  const verdict = isMet(target) ? 'met   ' : 'MISSED'
  return `  ${verdict}  ${what}: ${formatNumber(measured, unit)}, wanted ${sense} ${formatNumber(wanted, unit)}`
}

export function renderFacts(facts: Facts): string {
  const { settings, versions, postgres, ...machine } = facts
  const named = (values: Readonly<Record<string, string>>) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
  return [named({ ...machine }), `postgres ${postgres}: ${named(settings)}`, named(versions), ''].join('\n')
}

/** Names to the left, figures to the right. */
function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0))) ?? []
  return lines.map((cells) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('   ')
      .replace(/^/, '  ')
      .trimEnd(),
  )
}
