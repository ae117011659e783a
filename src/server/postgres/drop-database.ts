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
 */
export async function dropDatabase(session: Session, database: Identifier): Promise<void> {
  const statement = `drop database if exists ${quoteIdentifier(database)}`
  try {
    await session.query(`${statement} with (force)`)
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code !== 'permission-denied') throw error
    // Somebody's session that may not be ended, or a database that is not ours to drop.
    if ((await sessionsIn(session, database, 'all', 'any')).length > 0) throw error
    await session.query(statement)
  }
}
