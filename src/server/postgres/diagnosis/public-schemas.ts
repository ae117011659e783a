import { withSession } from '../../with-session.ts'
import { TenantryError } from '../../../kernel/errors.ts'
import type { Identifier } from '../../../kernel/names.ts'
import type { DiagnosisRequest } from '../../diagnosis.ts'
import { schemasOpenToPublic } from '../databases.ts'
import type { ReadFacts } from './facts.ts'
import type { ProbeConnections } from './probe-context.ts'

/** The number of databases that are examined, each by a connection of its own. */
const mostVisited = 100

/** The errors of a database that this role cannot examine. One that was dropped since needs no look. */
const refusals: readonly string[] = ['permission-denied', 'authentication-failed', 'timeout', 'too-many-connections']

/**
 * Examines the databases that every role may connect to for schemas in which every role may create. Of too many it
 * takes those that every server has, and the first.
 *
 * @throws `aborted`
 */
export async function readPublicSchemas(
  connections: Pick<ProbeConnections, 'connect' | 'maintenanceDatabase'>,
  openToPublic: readonly string[],
  { signal }: Pick<DiagnosisRequest, 'signal'>,
): Promise<Pick<ReadFacts, 'publicSchemas' | 'unvisited'>> {
  const usual = [connections.maintenanceDatabase, 'postgres', 'template1'].filter((name) => openToPublic.includes(name))
  const databases = [...new Set([...usual, ...openToPublic])]
  const publicSchemas = new Map<string, readonly string[]>()
  const unvisited = databases.slice(mostVisited)
  for (const database of databases.slice(0, mostVisited)) {
    try {
      const schemas = await withSession(connections.connect(database as Identifier, { signal }), schemasOpenToPublic)
      if (schemas.length > 0) publicSchemas.set(database, schemas)
    } catch (error) {
      if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
      if (refusals.includes(error.code)) unvisited.push(database)
    }
  }
  return { publicSchemas, unvisited }
}
