import { withSession } from '../../with-session.ts'
import { TenantryError } from '../../../kernel/errors.ts'
import type { Identifier } from '../../../kernel/names.ts'
import type { DiagnosisRequest, ServerDiagnosis } from '../../diagnosis.ts'
import { diagnose } from './diagnose.ts'
import type { ReadFacts } from './facts.ts'
import { missingToConnect } from './missing.ts'
import { probe } from './probe.ts'
import type { ProbeConnections } from './probe-context.ts'
import { readPublicSchemas } from './public-schemas.ts'
import { type ConnectionNature, readFacts } from './read-facts.ts'
import { leftoversOf, removeProbes } from './scratch.ts'

/** A server to examine: its connections, and the facts known beforehand. */
export interface Target extends ProbeConnections {
  readonly name: string
  readonly description: string
  readonly user: Identifier
  readonly nature: ConnectionNature
}

/**
 * Examines a server, tries the needed operations, and diagnoses it. A failure to connect is in the diagnosis.
 *
 * @throws `aborted`
 */
export async function examine(target: Target, request: DiagnosisRequest): Promise<ServerDiagnosis> {
  const names = { server: target.name, address: target.description }
  try {
    const read = await lookAtServer(target, request)
    const probed = request.probe ? await probe(target, request, read.trustRules === undefined) : undefined
    const { installation, roles, connections } = request
    const { maintenanceDatabase } = target
    const findings = diagnose({
      installation,
      roles,
      connections,
      maintenanceDatabase,
      read: { ...read, leftovers: [...read.leftovers, ...(probed?.leftovers ?? [])] },
      probed: probed?.facts,
    })
    return { reachable: true, ...names, ...findings }
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
    const missing = missingToConnect(error, target.user, target.maintenanceDatabase)
    return { reachable: false, ...names, error, missing }
  }
}

/** Reads the facts. Remains of earlier probes are removed first, unless the call only reads. */
async function lookAtServer(target: Target, request: DiagnosisRequest): Promise<ReadFacts> {
  const read = await withSession(target.connect(target.maintenanceDatabase, request), async (session) => {
    const tidy = request.probe ? removeProbes : leftoversOf
    const leftovers = await tidy(session, request.installation, target)
    return { ...(await readFacts(session, request, target.nature)), leftovers }
  })
  return { ...read, ...(await readPublicSchemas(target, read.openToPublic, request)) }
}
