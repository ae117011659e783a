import { TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'
import { quoteIdentifier } from './quoting.ts'
import { sessionsIn } from './sessions.ts'

/**
 * Drops a database, if it is there, and ends the sessions in it.
 *
 * FORCE is refused to all but superusers while an autovacuum worker is in the database, which has no role that anybody
 * else could act for. Without FORCE PostgreSQL sends the worker away by itself.
 *
 * @throws `timeout`, with what it waited for where that is to be seen
 */
export async function dropDatabase(session: Session, database: Identifier): Promise<void> {
  const statement = `drop database if exists ${quoteIdentifier(database)}`
  try {
    await session.query(`${statement} with (force)`)
  } catch (error) {
    if (!(error instanceof TenantryError)) throw error
    if (error.code === 'timeout') throw await timeoutError(session, database, error)
    if (error.code !== 'permission-denied') throw error
    // Somebody's session that may not be ended, or a database that is not ours to drop.
    if ((await sessionsIn(session, database, 'all', 'any')).length > 0) throw error
    await session.query(statement)
  }
}

/**
 * PostgreSQL drops a database once every process of the server, in whichever database, has let go of its files. One that
 * waits for its client in the midst of a statement does not hear of it.
 */
async function timeoutError(session: Session, database: Identifier, { cause, sqlState }: TenantryError) {
  const { rows } = await session.query<{ pid: number; datname: string }>(
    `select pid, datname from pg_catalog.pg_stat_activity
     where state = 'active' and wait_event = 'ClientRead' and pid <> pg_backend_pid() order by state_change limit 5`,
  )
  const who = rows.map(({ pid, datname }) => `${pid} (in ${datname})`).join(', ')
  const hint =
    rows.length > 0
      ? `PostgreSQL drops no database while a session on the server waits for its client's data, as COPY ... FROM STDIN does: ${who}. End it with pg_terminate_backend, and repeat the call.`
      : 'PostgreSQL drops no database until every session on the server heeds it; COPY ... FROM PROGRAM does not. pg_stat_activity shows what is active. Repeat the call once that has ended.'
  const message = `The database ${database} was not dropped in the time that a statement may take.`
  return new TenantryError('timeout', message, { cause, sqlState, hint })
}
