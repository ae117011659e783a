/** What is shown of many samples. */
export interface Summary {
  readonly samples: number
  readonly median: number
  readonly p95: number
  readonly mean: number
}

export function summarise(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((one, other) => one - other)
  return {
    samples: sorted.length,
    median: (rank(sorted, Math.ceil(sorted.length / 2)) + rank(sorted, Math.floor(sorted.length / 2) + 1)) / 2,
    p95: rank(sorted, Math.ceil(sorted.length * 0.95)),
    mean: sorted.reduce((sum, sample) => sum + sample, 0) / sorted.length,
  }
}

/** The sample at a place counted from 1: the nearest-rank percentile, which is always one that was measured. */
function rank(sorted: readonly number[], place: number): number {
  const sample = sorted[place - 1]
  if (sample === undefined) throw new RangeError('There are no samples.')
  return sample
}
