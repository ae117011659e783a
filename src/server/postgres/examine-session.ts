import { TenantryError } from '../../kernel/errors.ts'
import type { Session, SessionState } from '../port.ts'

/**
 * Looks whether a session is executing a statement. A role may see what its own sessions do (pg_stat_activity), so it is to
 * be connected as the role that the session belongs to.
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

/** Looks with a connection that is being opened; closed afterwards. */
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

/** A server that refuses has answered. */
function isSilence(error: unknown): boolean {
  const codes: readonly string[] = ['server-unreachable', 'connection-lost', 'unknown-host']
  return error instanceof TenantryError && error.sqlState === undefined && codes.includes(error.code)
}
