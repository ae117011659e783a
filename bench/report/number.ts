import type { Unit } from '../result.ts'

const suffixes: Readonly<Record<Unit, string>> = {
  ms: ' ms',
  s: ' s',
  MB: ' MB',
  times: 'x',
  count: '',
  'per second': '/s',
  'per hour': '/h',
}

/** A figure as people read it: three digits say enough, and long numbers are divided. */
export function formatNumber(value: number | undefined, unit: Unit): string {
  if (value === undefined) return '-'
  const digits = Number.isInteger(value) || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })}${suffixes[unit]}`
}
