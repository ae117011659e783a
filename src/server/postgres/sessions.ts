import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'

/**
 * The process ids of the sessions in a database. What another role's process is for is hidden from a role without
 * pg_read_all_stats; it counts then.
 */
export async function sessionsIn(
  session: Session,
  database: Identifier,
  whose: 'everybody' | 'own',
): Promise<readonly number[]> {
  const { rows } = await session.query<{ pid: number }>(
    `select pid from pg_catalog.pg_stat_activity
     where datname = $1 and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'
       and ($2 = 'everybody' or usename = current_user)`,
    [database, whose],
  )
  return rows.map(({ pid }) => pid)
}

/** Ends sessions. One that is gone already is no error. */
export async function endSessions(session: Session, processIds: readonly number[]): Promise<void> {
  await session.query('select pg_terminate_backend(pid) from unnest($1::int[]) as pid', [processIds])
}
