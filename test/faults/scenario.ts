import type { Random } from './random.ts'

/** The context of a scenario. */
export interface FaultContext {
  /** A superuser's connection URL to a PostgreSQL that others use at the same time. */
  readonly url: string
  /** Every choice comes from here, or from `order`, so that the seed replays it. */
  readonly random: Random
  /** Gives the same choices in every run of the scenario. */
  readonly order: Random
  /** `bounded`: a few faults, in seconds. `full`: all that the scenario has, until the time is up. */
  readonly extent: 'bounded' | 'full'
  /** The number of the run of the scenario, from 1. */
  readonly round: number
  /** True if the time is up: begun faults are finished, and no others begun. */
  readonly isOver: () => boolean
}

/** The result of one run of a scenario. */
export interface Tally {
  /** The number of faults. */
  readonly faults: number
  /** The violations, each in a sentence that names the fault. */
  readonly violations: readonly string[]
  /** The reason why nothing was done, if the machine does not allow it. */
  readonly skipped?: string
}

/** One kind of fault. A file a scenario; scenarios.ts lists them. */
export interface Scenario {
  readonly name: string
  readonly run: (context: FaultContext) => Promise<Tally>
}

/** Runs a scenario; its error is a violation like any other. */
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
