import { TenantryError } from '../../kernel/errors.ts'
import type { Session, SessionState } from '../port.ts'

/**
 * Returns the state of a session. A role may see the activity of its own sessions (pg_stat_activity), so the connection
 * must be of the session's own role.
 */
export function stateOf(session: Promise<Session>, processId: number | undefined): Promise<SessionState> {
  return unlessSilent(session, async (connected) => {
    const { rows } = await connected.query(
      `select from pg_catalog.pg_stat_activity where pid = $1 and state not like 'idle%'`,
      [processId],
    )
    return rows.length > 0 ? 'busy' : 'idle'
  })
}

/** Reads with a connection that is being opened; closed afterwards. */
export async function unlessSilent<Connection extends { close(): Promise<void> }>(
  connecting: Promise<Connection>,
  look: (connection: Connection) => Promise<SessionState>,
): Promise<SessionState> {
  try {
    const connection = await connecting
    try {
      return await look(connection)
    } finally {
      await connection.close()
    }
  } catch (error) {
    return isSilence(error) ? 'unreachable' : 'busy'
  }
}

/** True if the server did not answer; one that refuses has answered. */
function isSilence(error: unknown): boolean {
  const codes: readonly string[] = ['server-unreachable', 'connection-lost', 'unknown-host']
  return error instanceof TenantryError && error.sqlState === undefined && codes.includes(error.code)
}
