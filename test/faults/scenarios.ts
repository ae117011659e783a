import { crashPoints, someCrashPoints } from './crash-points.ts'
import type { Scenario } from './scenario.ts'

/** What both runs have. */
const common: readonly Scenario[] = []

/** All kinds of faults, for the full run. */
export const scenarios: readonly Scenario[] = [...crashPoints, ...common]

/** The same in small, for the bounded one. */
export const boundedScenarios: readonly Scenario[] = [someCrashPoints, ...common]
