import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Counts } from '../counts.ts'
import type { Facts } from '../facts.ts'
import { isMet, type Result } from '../result.ts'
import { renderChart } from './chart.ts'

/** A run as it is kept. */
export interface Run {
  readonly facts: Facts
  readonly counts: Counts
  readonly results: readonly Result[]
}

const complete = { json: '../results/latest.json', chart: '../../docs/images/bench.svg' }
/** A partial run never replaces the published results. */
const partial = { json: '../results/partial.json', chart: '../results/partial.svg' }

/** Writes the figures and their chart. @returns the files */
export async function write(run: Run, isComplete: boolean): Promise<readonly string[]> {
  const places = isComplete ? complete : partial
  const results = run.results.map((result) => ({
    ...result,
    targets: result.targets.map((target) => ({ ...target, met: isMet(target) })),
  }))
  return Promise.all([
    writeAt(places.json, `${JSON.stringify({ ...run, results }, null, 2)}\n`),
    writeAt(places.chart, renderChart(run.results, run.facts)),
  ])
}

async function writeAt(place: string, text: string): Promise<string> {
  const file = fileURLToPath(new URL(place, import.meta.url))
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}
