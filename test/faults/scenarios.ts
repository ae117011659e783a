import { crashPoints, someCrashPoints } from './crash-points.ts'
import { endedStatements } from './ended-statements.ts'
import { exhaustedConnections } from './exhausted-connections.ts'
import { fullDisk } from './full-disk.ts'
import { manyProcesses } from './many-processes.ts'
import { meddling } from './meddling.ts'
import { neighbours } from './neighbours.ts'
import { model } from './model.ts'
import { failingNetwork, slowNetwork } from './network.ts'
import { olderCatalog } from './older-catalog.ts'
import { racingNames } from './racing-names.ts'
import type { Scenario } from './scenario.ts'
import { serverKilled } from './server-killed.ts'
import { stoppedProcess } from './stopped-process.ts'

/** What both runs have. */
const common: readonly Scenario[] = [
  failingNetwork,
  slowNetwork,
  stoppedProcess,
  serverKilled,
  manyProcesses,
  exhaustedConnections,
  endedStatements,
  meddling,
  racingNames,
  neighbours,
  olderCatalog,
  fullDisk,
]

/** All kinds of faults, for the full run. `npm test` has the model anyway. */
export const scenarios: readonly Scenario[] = [...common, model, ...crashPoints]

/** The same in small, for the bounded one. */
export const boundedScenarios: readonly Scenario[] = [someCrashPoints, ...common]
