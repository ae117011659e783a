/** The result of one scenario, as plain data: the table, the JSON file and the chart are made of it. */
export interface Result {
  readonly number: number
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  readonly targets: readonly Target[]
  /** Notes for the reader. */
  readonly notes: readonly string[]
  /** The column of the chart; undefined for a scenario that is not in it. */
  readonly chart?: { readonly title: string; readonly column: number } | undefined
}

export interface Column {
  readonly title: string
  readonly unit: Unit
}

/** `times` is a ratio. */
export type Unit = 'ms' | 's' | 'MB' | 'times' | 'count' | 'per second' | 'per hour'

/** A contender and its figures, one for each column; undefined where there is none. */
export interface Row {
  readonly name: string
  readonly values: readonly (number | undefined)[]
}

/** A target, and the measured value. */
export interface Target {
  readonly what: string
  readonly sense: 'at least' | 'at most'
  readonly wanted: number
  readonly measured: number
  readonly unit: Unit
}

export function isMet({ sense, wanted, measured }: Target): boolean {
  return sense === 'at least' ? measured >= wanted : measured <= wanted
}
