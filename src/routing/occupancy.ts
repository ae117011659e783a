import { TenantryError } from '../kernel/errors.ts'
import type { Occupancy, OccupancyQuestion } from '../server/occupancy.ts'
import type { Server, Session } from '../server/port.ts'
import { withSession } from '../server/with-session.ts'

const refusals: readonly string[] = [
  'authentication-failed',
  'permission-denied',
  'database-missing',
  'database-closed',
]

/**
 * Counts an installation's sessions on a server, over a session of its own. A process that only routes may not be
 * allowed to connect to the maintenance database; the division then relies on the published shares alone.
 */
export async function readOccupancy(server: Server, question: OccupancyQuestion): Promise<Occupancy> {
  let session: Session
  try {
    session = await server.connect(server.maintenanceDatabase)
  } catch (error) {
    if (!(error instanceof TenantryError) || !refusals.includes(error.code)) throw error
    return { room: Infinity, sessions: [] }
  }
  return withSession(Promise.resolve(session), () => server.occupancy(session, question))
}
