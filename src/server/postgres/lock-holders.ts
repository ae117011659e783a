import type { LockHolder, Session } from '../port.ts'

/**
 * Returns the other sessions and prepared transactions that hold a lock on one of the tables. What a session runs, and
 * since when, is hidden from a role that may not see its activity.
 *
 * @param tables qualified names in the session's database
 */
export async function lockHolders(session: Session, tables: readonly string[]): Promise<readonly LockHolder[]> {
  const { rows } = await session.query<HolderRow>(holdersSql, [tables])
  return rows.map(({ pid, user, state, ms, query }) => ({
    processId: pid ?? undefined,
    user: user ?? undefined,
    state: state ?? undefined,
    heldMs: ms === null ? undefined : Number(ms),
    query: query ?? undefined,
  }))
}

interface HolderRow {
  readonly pid: number | null
  readonly user: string | null
  readonly state: string | null
  readonly ms: string | null
  readonly query: string | null
}

/** The most holders that are read. */
const most = 5

const holdersSql = `
  select distinct on (since, pid) l.pid, a.usename as "user", a.state, left(a.query, 200) as query,
         extract(epoch from clock_timestamp() - a.xact_start)::numeric(20, 3) * 1000 as ms, a.xact_start as since
  from pg_catalog.pg_locks l
  join pg_catalog.pg_class c on c.oid = l.relation
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  where l.granted and l.locktype = 'relation' and l.pid is distinct from pg_backend_pid()
    and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
    and n.nspname || '.' || c.relname = any($1)
  order by since, pid
  limit ${most}`
