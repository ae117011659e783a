/** The summary of many samples. */
export interface Summary {
  readonly samples: number
  readonly median: number
  readonly p95: number
  readonly mean: number
}

export function summarise(samples: readonly number[]): Summary {
  const ordered = sorted(samples)
  return {
    samples: ordered.length,
    median: medianOf(ordered),
    p95: rank(ordered, Math.ceil(ordered.length * 0.95)),
    mean: ordered.reduce((sum, sample) => sum + sample, 0) / ordered.length,
  }
}

export function median(samples: readonly number[]): number {
  return medianOf(sorted(samples))
}

export function sorted(samples: readonly number[]): readonly number[] {
  return samples.toSorted((one, other) => one - other)
}

/** The sample at a place counted from 1: the nearest-rank percentile, which is always one that was measured. */
export function rank(ordered: readonly number[], place: number): number {
  const sample = ordered[place - 1]
  if (sample === undefined) throw new RangeError('There are no samples.')
  return sample
}

function medianOf(ordered: readonly number[]): number {
  return (rank(ordered, Math.ceil(ordered.length / 2)) + rank(ordered, Math.floor(ordered.length / 2) + 1)) / 2
}
