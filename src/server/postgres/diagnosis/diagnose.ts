import { type Capability, type ExaminedServer, type Trial, untried } from '../../diagnosis.ts'
import { capabilityWords } from './capability-words.ts'
import type { ProbedFacts, ServerFacts } from './facts.ts'
import { serviceOf } from './managed-service.ts'
import { missingOf } from './missing.ts'
import { unseenOf, warningsOf } from './warnings.ts'

/**
 * Returns the diagnosis of facts. Without a look at the server, and without a clock: the same facts have the same
 * diagnosis.
 */
export function diagnose(facts: ServerFacts): Omit<ExaminedServer, 'server' | 'address' | 'reachable'> {
  const { read, probed } = facts
  const service = serviceOf(read.markers)
  return {
    version: read.version,
    service,
    role: read.role,
    capabilities: probed?.capabilities ?? untried,
    tried: probed === undefined ? [] : trialsOf(probed),
    missing: missingOf(facts, service),
    warnings: warningsOf(facts, service),
    unseen: unseenOf(facts),
  }
}

function trialsOf({ capabilities, refusals }: ProbedFacts): readonly Trial[] {
  const words = Object.entries(capabilityWords) as [Capability, string][]
  return words.flatMap(([capability, what]) => {
    const worked = capabilities[capability]
    if (worked === undefined) return []
    const refusal = refusals.find((it) => it.capability === capability)
    return [{ capability, what, worked, message: refusal?.message, sqlState: refusal?.sqlState }]
  })
}
