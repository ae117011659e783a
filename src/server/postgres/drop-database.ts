import { explained, hasCode, type TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'
import { quoteIdentifier } from './quoting.ts'
import { sessionsIn } from './sessions.ts'

/**
 * Drops a database, if it exists, and ends the sessions in it. FORCE is refused to all but superusers while an
 * autovacuum worker is in the database, since it has no role that another could act for. Without FORCE PostgreSQL ends
 * the worker by itself.
 *
 * @throws `timeout`, with its blocker, if one is visible
 */
export async function dropDatabase(session: Session, database: Identifier): Promise<void> {
  try {
    await drop(session, database)
  } catch (error) {
    throw hasCode(error, 'timeout') ? await timeoutError(session, error) : error
  }
}

async function drop(session: Session, database: Identifier): Promise<void> {
  const statement = `drop database if exists ${quoteIdentifier(database)}`
  try {
    await session.query(`${statement} with (force)`)
  } catch (error) {
    if (!hasCode(error, 'permission-denied')) throw error
    // A session that may not be ended, or a database that may not be dropped.
    if ((await sessionsIn(session, database, { which: 'all', how: 'any' })).length > 0) throw error
    await session.query(statement)
  }
}

/**
 * Returns the error of a DROP DATABASE that waited too long. PostgreSQL drops a database once every process of the
 * server, in any database, has closed its files. A process that waits for its client in a COPY does not respond.
 */
async function timeoutError(session: Session, error: TenantryError): Promise<TenantryError> {
  const copying = await copyingSessions(session)
  const hint =
    copying.length > 0
      ? `PostgreSQL drops no database while a session on the server waits for data in COPY ... FROM STDIN, as this may be: ${copying.join(', ')}. Let it go on, or end it with pg_terminate_backend, and repeat the call.`
      : 'PostgreSQL drops no database while a session anywhere on the server waits in COPY ... FROM STDIN or FROM PROGRAM. pg_stat_activity shows such sessions to a superuser. Repeat the call once they have ended.'
  return explained(error, 'timeout', error.message, { hint })
}

/** Returns the sessions in a COPY, if the role may see the activity of others. */
async function copyingSessions(session: Session): Promise<readonly string[]> {
  try {
    const { rows } = await session.query<{ pid: number; datname: string }>(
      `select pid, datname from pg_catalog.pg_stat_activity
       where state = 'active' and wait_event = 'ClientRead' and query ~* '\\mcopy\\M' and pid <> pg_backend_pid()
       order by state_change limit 5`,
    )
    return rows.map(({ pid, datname }) => `${pid} (in ${datname})`)
  } catch {
    // The first error is the one to report.
    return []
  }
}
