import { parseArgs } from 'node:util'

/** The amounts of all measurements. Each has a flag of the same name. */
export interface Counts {
  /** Scenarios 1 to 3, and 14: how many turns each contender has, and how many tenants it makes in each. */
  readonly rounds: number
  readonly batch: number
  /** Scenario 1: how many tenants are made one after the other, for the rate. */
  readonly sustained: number
  /** The number of spares, if there are any. */
  readonly spares: number
  /** The number of tenants that Tenantry makes at once, and of sessions that clone beside it in scenario 4. */
  readonly concurrency: number
  /** Scenario 4: how many tenants at once, and how often. */
  readonly burst: number
  readonly burstRounds: number
  /** Scenario 5: the largest number of tenants that are there already; it is tried with a tenth and a hundredth, too. */
  readonly tenants: number
  readonly startRounds: number
  /** Scenario 5: how many databases a peer has that cannot use those of Tenantry, and how many it looks at at once. */
  readonly ownDatabases: number
  readonly loopConcurrency: number
  /** Scenario 6: how many tenants are known. */
  readonly known: number
  /** Scenario 7: how long is watched. */
  readonly idleSeconds: number
  /** Scenarios 8 to 10: how many turns each contender has, and how many requests it makes in each; some take a multiple. */
  readonly routedRounds: number
  readonly requests: number
  /** Scenario 9: the numbers of tenants, of workers that request them, and of connections. */
  readonly routed: number
  readonly workers: number
  readonly budget: number
  /** Scenario 11: how many tenants are visited, and how often; at least three times. */
  readonly visited: number
  readonly passes: number
  /** Scenario 13: how many tenants get a column more, and how often. */
  readonly rolled: number
  readonly rolloutRounds: number
  /** Scenario 14: the largest number of migrations; a fifteenth, and one alone, are tried, too. */
  readonly migrations: number
}

export interface Options {
  readonly counts: Counts
  /** The scenarios' numbers. */
  readonly only: readonly number[] | undefined
  /** True if all of this is at full length, which alone may be published. */
  readonly isComplete: boolean
}

const full: Counts = {
  rounds: 30,
  batch: 2,
  sustained: 60,
  spares: 8,
  concurrency: 4,
  burst: 200,
  burstRounds: 3,
  tenants: 1_000,
  startRounds: 3,
  ownDatabases: 100,
  loopConcurrency: 4,
  known: 10_000,
  idleSeconds: 150,
  routedRounds: 7,
  requests: 1_000,
  routed: 1_000,
  workers: 64,
  budget: 50,
  visited: 10_000,
  passes: 4,
  rolled: 200,
  rolloutRounds: 5,
  migrations: 150,
}

const quick: Counts = {
  ...full,
  rounds: 5,
  sustained: 12,
  burst: 24,
  burstRounds: 1,
  tenants: 100,
  startRounds: 1,
  ownDatabases: 10,
  idleSeconds: 10,
  routedRounds: 2,
  requests: 500,
  routed: 200,
  visited: 1_500,
  passes: 3,
  rolled: 40,
  rolloutRounds: 2,
}

/** Reads the command line. @throws on a flag that is unknown or is no whole number */
export function parseOptions(args: readonly string[]): Options {
  const names = Object.keys(full) as (keyof Counts)[]
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
    },
  })
  const given = Object.entries(values).flatMap(([name, value]) =>
    name in full && typeof value === 'string' ? [[name, wholeNumber(name, value)] as const] : [],
  )
  const only = values.only?.split(',').map((number) => wholeNumber('only', number))
  return {
    counts: { ...(values.quick ? quick : full), ...Object.fromEntries(given) },
    only,
    isComplete: !values.quick && only === undefined && given.length === 0,
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new RangeError(`--${name} must be a whole number above 0, not ${JSON.stringify(text)}.`)
}
