import type { Random } from './random.ts'

/** What a scenario works with. */
export interface FaultContext {
  /** A superuser's connection URL to a PostgreSQL that others use at the same time. */
  readonly url: string
  /** Every choice comes from here, or from `order`, so that the seed replays it. */
  readonly random: Random
  /** Gives the same choices in every run of the scenario. */
  readonly order: Random
  /** `bounded`: a few faults, in seconds. `full`: all that the scenario has, until the time is up. */
  readonly extent: 'bounded' | 'full'
  /** Which run of the scenario it is, from 1. */
  readonly round: number
  /** Whether the time is up: what is begun is finished, and nothing else begun. */
  readonly isOver: () => boolean
}

/** What came of one run of a scenario. */
export interface Tally {
  /** How many faults came about. */
  readonly faults: number
  /** What did not hold, each in a sentence that names the fault. */
  readonly violations: readonly string[]
  /** Why nothing was done, where the machine does not allow it. */
  readonly skipped?: string
}

/** One kind of fault. A file a scenario; scenarios.ts lists them. */
export interface Scenario {
  readonly name: string
  readonly run: (context: FaultContext) => Promise<Tally>
}

/** Runs a scenario; what it throws is a violation like any other. */
export async function tallyOf({ name, run }: Scenario, context: FaultContext): Promise<Tally> {
  try {
    return await run(context)
  } catch (error) {
    return { faults: 1, violations: [`${name} broke off: ${storyOf(error)}`] }
  }
}

/** An error with all its causes, in one text. */
export function storyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `\n  caused by ${storyOf(error.cause)}`
  return `${error.stack ?? error.message}${cause}`
}

/** Adds up several tallies. */
export function sum(tallies: readonly Tally[]): Tally {
  return {
    faults: tallies.reduce((total, { faults }) => total + faults, 0),
    violations: tallies.flatMap(({ violations }) => violations),
  }
}
