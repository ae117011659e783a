import type { Counts } from '../counts.ts'
import type { Result } from '../result.ts'

/** One question that the bench answers, on servers of its own. */
export interface Scenario {
  readonly number: number
  readonly title: string
  readonly run: (counts: Counts) => Promise<Omit<Result, 'number' | 'title'>>
}
