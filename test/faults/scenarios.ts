import { crashPoints, someCrashPoints } from './crash-points.ts'
import { endedStatements } from './ended-statements.ts'
import { exhaustedConnections } from './exhausted-connections.ts'
import { fullDisk } from './full-disk.ts'
import { hostileTenant } from './hostile-tenant.ts'
import { manyProcesses } from './many-processes.ts'
import { meddling } from './meddling.ts'
import { neighbours } from './neighbours.ts'
import { model } from './model.ts'
import { failingNetwork, slowNetwork } from './network.ts'
import { olderCatalog } from './older-catalog.ts'
import { racingNames } from './racing-names.ts'
import { rolloutWorkers } from './rollout-workers.ts'
import type { Scenario } from './scenario.ts'
import { serverKilled } from './server-killed.ts'
import { stoppedProcess } from './stopped-process.ts'

/** The scenarios of both runs. */
const common: readonly Scenario[] = [
  failingNetwork,
  slowNetwork,
  stoppedProcess,
  serverKilled,
  manyProcesses,
  rolloutWorkers,
  exhaustedConnections,
  endedStatements,
  meddling,
  hostileTenant,
  racingNames,
  neighbours,
  olderCatalog,
  fullDisk,
]

const others = [...common, model]

/**
 * All kinds of faults, for the full run. `npm test` has the model anyway. The crash points, of which there are as many as
 * there are verbs, come in between, so that a run of some minutes has some of everything.
 */
export const scenarios: readonly Scenario[] = others.flatMap((scenario, place) => [
  scenario,
  ...crashPoints.filter((_, verb) => verb % others.length === place),
])

/** The same in small, for the bounded one. */
export const boundedScenarios: readonly Scenario[] = [someCrashPoints, ...common]
