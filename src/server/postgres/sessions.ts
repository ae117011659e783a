import { TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session, WhichSessions } from '../port.ts'
import { quoteIdentifier } from './quoting.ts'

/**
 * The process ids of the sessions in a database. What another role's process is for is hidden from a role without
 * pg_read_all_stats; it counts then. All includes what is no client's, such as replication, since
 * that keeps a database from being renamed as well; autovacuum goes by itself, and only a superuser may end it. It is known
 * by having no role, since its kind is hidden. That another role's session is idle is hidden, too.
 */
export async function sessionsIn(
  session: Session,
  database: Identifier,
  which: WhichSessions,
  how: 'busy' | 'any',
): Promise<readonly number[]> {
  const { kind, role } = parameters(which)
  const { rows } = await session.query<{ pid: number }>(sessionsSql, [database, kind, role, how === 'busy'])
  return rows.map(({ pid }) => pid)
}

function parameters(which: WhichSessions): { kind: 'all' | 'work' | 'of'; role: Identifier | null } {
  if (typeof which === 'string') return { kind: which, role: null }
  return 'of' in which ? { kind: 'of', role: which.of } : { kind: 'work', role: which.workOf }
}

const sessionsSql = `
  select a.pid
  from pg_catalog.pg_stat_activity a left join pg_catalog.pg_roles r on r.oid = a.usesysid
  where a.pid <> pg_backend_pid() and not ($4 and a.state is not distinct from 'idle')
    and case $2 when 'of' then a.datname = $1 and a.usename = $3
                when 'all' then a.datname = $1 and a.usesysid is not null
                else coalesce(a.backend_type, 'client backend') = 'client backend'
                     and (a.usename = $3
                          or a.datname = $1 and a.application_name is distinct from 'pg_dump'
                             and (not r.rolsuper
                                  or (select rolsuper from pg_catalog.pg_roles where rolname = current_user))) end`

/**
 * Ends sessions. One that is gone already is no error.
 *
 * @throws `permission-denied` with the statement that grants what is missing
 */
export async function endSessions(session: Session, processIds: readonly number[]): Promise<void> {
  try {
    await session.query(terminateSql, [processIds])
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code !== 'permission-denied') throw error
    if (await endAsMember(session, processIds)) return
    const { cause, sqlState } = error
    throw new TenantryError('permission-denied', `${session.user} may not end another role's session.`, {
      cause,
      sqlState,
      hint: `As a superuser: GRANT pg_signal_backend TO ${quoteIdentifier(session.user as Identifier)}; a superuser's sessions only a superuser can end.`,
    })
  }
}

const terminateSql = 'select pg_terminate_backend(pid) from unnest($1::int[]) as pid'

/**
 * Ends sessions of roles that the connected role made. It is no member of theirs, since each membership makes every look
 * at its privileges slower, but may become one: for one transaction that is taken back.
 *
 * @returns false when one of them is no role of its making
 */
async function endAsMember(session: Session, processIds: readonly number[]): Promise<boolean> {
  const { rows } = await session.query<{ user: Identifier }>(
    `select distinct a.usename as "user" from pg_catalog.pg_stat_activity a
     where a.pid = any($1) and not pg_has_role(a.usesysid, 'usage')`,
    [processIds],
  )
  try {
    await session.transaction(async () => {
      for (const { user } of rows) await session.query(`grant ${quoteIdentifier(user)} to current_user`)
      await session.query(terminateSql, [processIds])
      throw new TakenBack()
    })
  } catch (error) {
    if (error instanceof TakenBack) return true
    if (error instanceof TenantryError && error.code === 'permission-denied') return false
    throw error
  }
  return true
}

/** Ends a transaction whose effects are not to stay. */
class TakenBack extends Error {}
