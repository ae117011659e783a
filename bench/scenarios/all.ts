import { adapters } from './adapters.ts'
import { burst } from './burst.ts'
import { firstRow } from './first-row.ts'
import { hotTenant } from './hot-tenant.ts'
import { idle } from './idle.ts'
import { manyTenants } from './many-tenants.ts'
import { memory } from './memory.ts'
import { newTenant } from './new-tenant.ts'
import { noisyNeighbour } from './noisy-neighbour.ts'
import { oneDatabase } from './one-database.ts'
import { rollout } from './rollout.ts'
import type { Scenario } from './scenario.ts'
import { startUp } from './start-up.ts'
import { visits } from './visits.ts'
import { withoutSpares } from './without-spares.ts'

export const scenarios: readonly Scenario[] = [
  newTenant,
  firstRow,
  withoutSpares,
  burst,
  startUp,
  memory,
  idle,
  hotTenant,
  manyTenants,
  noisyNeighbour,
  visits,
  oneDatabase,
  rollout,
  adapters,
]
