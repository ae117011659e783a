import { poll } from '../../kernel/abort.ts'
import { explained, hasCode } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { EndingOptions, Session, WhichSessions } from '../port.ts'
import { doBlock, quoteIdentifier, quoteLiteral } from './quoting.ts'

/**
 * Returns the process ids of the sessions in a database. The purpose of another role's process is hidden from a role
 * without pg_read_all_stats; it counts then. All includes sessions that are no client's, such as replication, since
 * they keep a database from being renamed as well. Autovacuum does not count: it ends by itself, and only a superuser
 * may end it. It is recognised by having no role, since its kind is hidden. It is hidden, too, that another role's
 * session is idle.
 */
export async function sessionsIn(
  session: Session,
  database: Identifier,
  { which, how, tenantRoles }: SessionSearch,
): Promise<readonly number[]> {
  const { kind, role } = parameters(which, tenantRoles)
  const { rows } = await session.query<{ pid: number }>(sessionsSql, [database, kind, role, how === 'busy'])
  return rows.map(({ pid }) => pid)
}

/** Sessions to look for in a database. */
interface SessionSearch {
  readonly which: WhichSessions
  readonly how: 'busy' | 'any'
  /** The beginning of the names of tenants' roles. */
  readonly tenantRoles?: string | undefined
}

interface SearchParameters {
  readonly kind: 'all' | 'tenants' | 'work' | 'of'
  /** The name of a role, or the beginning of names. */
  readonly role: string | null
}

function parameters(which: WhichSessions, tenantRoles: string | undefined): SearchParameters {
  if (typeof which === 'string') return { kind: which, role: which === 'tenants' ? (tenantRoles ?? null) : null }
  return 'of' in which ? { kind: 'of', role: which.of } : { kind: 'work', role: which.workOf }
}

const sessionsSql = `
  select a.pid
  from pg_catalog.pg_stat_activity a left join pg_catalog.pg_roles r on r.oid = a.usesysid
  where a.pid <> pg_backend_pid() and not ($4 and a.state is not distinct from 'idle')
    and case $2 when 'of' then a.usename = $3
                when 'tenants' then a.datname = $1 and pg_catalog.starts_with(a.usename, $3)
                when 'all' then a.datname = $1 and a.usesysid is not null
                else coalesce(a.backend_type, 'client backend') = 'client backend'
                     and (a.usename = $3
                          or a.datname = $1 and a.application_name is distinct from 'pg_dump'
                             and (not r.rolsuper
                                  or (select rolsuper from pg_catalog.pg_roles where rolname = current_user))) end`

/**
 * Ends sessions. One that has ended already is no error.
 *
 * @throws `permission-denied` with the statement that grants the missing privilege
 */
export async function endSessions(session: Session, processIds: readonly number[]): Promise<void> {
  if (processIds.length === 0) return
  try {
    await session.query(terminateSql, [processIds])
  } catch (error) {
    if (!hasCode(error, 'permission-denied')) throw error
    if (await endAsMember(session, processIds)) return
    throw explained(error, 'permission-denied', `${session.user} may not end another role's session.`, {
      hint: `As a superuser: GRANT pg_signal_backend TO ${quoteIdentifier(session.user as Identifier)}; a superuser's sessions only a superuser can end.`,
    })
  }
}

const terminateSql = 'select pg_terminate_backend(pid) from unnest($1::int[]) as pid'

/**
 * Ends sessions of roles that the connected role made, role by role.
 *
 * @returns false if one of them was made by another role
 */
async function endAsMember(session: Session, processIds: readonly number[]): Promise<boolean> {
  const { rows } = await session.query<{ pid: number; user: Identifier | null }>(
    `select a.pid, case when not pg_has_role(a.usesysid, 'usage') then a.usename end as "user"
     from pg_catalog.pg_stat_activity a where a.pid = any($1)`,
    [processIds],
  )
  let denied = false
  for (const [user, own] of Map.groupBy(rows, (row) => row.user)) {
    const pids = own.map(({ pid }) => pid)
    const end = () => session.query(terminateSql, [pids])
    await (user === null ? end() : inRole(session, user, end)).catch((error: unknown) => {
      if (!hasCode(error, 'permission-denied')) throw error
      denied = true
    })
  }
  return !denied
}

/** Returns the server's time, as text that keeps its microseconds. */
export async function clock(session: Session): Promise<string> {
  const { rows } = await session.query<{ now: string }>('select clock_timestamp()::text as now')
  return rows[0]?.now ?? ''
}

/** The time that sessions have to end, in milliseconds. */
const endingMs = 5_000

/** Ends the sessions of a role that began before a moment; see `Server.endSessionsBefore`. */
export async function endSessionsBefore(
  session: Session,
  user: Identifier,
  moment: string,
  { quietMs, signal }: EndingOptions,
): Promise<boolean> {
  const haveEnded = async () => (await begunBefore(session, user, moment)).length === 0 || undefined
  if (await poll(haveEnded, quietMs, signal)) return true
  const end = async () => {
    const left = await begunBefore(session, user, moment)
    await endSessions(session, left)
    return left.length === 0 || undefined
  }
  return (await poll(end, endingMs, signal)) === true
}

/**
 * Returns the sessions of a role that began before a moment. The begin of another role's session is hidden from a role
 * that neither belongs to it nor to pg_read_all_stats. If the connected role may not act as it either, all of them count.
 */
async function begunBefore(session: Session, user: Identifier, moment: string): Promise<readonly number[]> {
  const find = async () => {
    const { rows } = await session.query<{ pid: number; isHidden: boolean }>(
      `select pid, backend_start is null as "isHidden" from pg_catalog.pg_stat_activity
       where usename = $1 and coalesce(backend_start <= $2::timestamptz, true) and pid <> pg_backend_pid()`,
      [user, moment],
    )
    return rows
  }
  let rows = await find()
  if (rows.some(({ isHidden }) => isHidden)) {
    rows = await inRole(session, user, find).catch((error: unknown) => {
      if (hasCode(error, 'permission-denied')) return rows
      throw error
    })
  }
  return rows.map(({ pid }) => pid)
}

/** Runs `work` as a role that the connected role made, in a transaction that is rolled back. */
export async function inRole<T>(session: Session, role: Identifier, work: () => Promise<T>): Promise<T> {
  return rolledBack(session, async () => {
    await session.query(doBlock(actAs(role)))
    return work()
  })
}

/** Runs `work` in a transaction that is rolled back. */
export async function rolledBack<T>(session: Session, work: () => Promise<T>): Promise<T> {
  try {
    return await session.transaction(async () => {
      throw new TakenBack(await work())
    })
  } catch (error) {
    if (error instanceof TakenBack) return error.value as T
    throw error
  }
}

/**
 * Returns statements of PL/pgSQL that act as a role until the end of the transaction, which has to be rolled back. From
 * version 16 on, the connected role may act as each role that it made. This takes no lock on the role; a GRANT takes one
 * there, and none before version 16.
 */
export function actAs(role: Identifier): string {
  const act = `perform pg_catalog.set_config('role', ${quoteLiteral(role)}, true);`
  return `begin ${act} exception when insufficient_privilege then grant ${quoteIdentifier(role)} to current_user; ${act} end;`
}

/** Ends a transaction without a commit. */
class TakenBack extends Error {
  readonly value: unknown

  constructor(value: unknown) {
    super('The transaction is rolled back.')
    this.value = value
  }
}

/** Runs one statement as another role: outside of a transaction, which ROLLBACK PREPARED refuses. */
export async function asRole(session: Session, role: Identifier, statement: string): Promise<void> {
  const name = quoteIdentifier(role)
  const act = () => session.query(`set role ${name}`)
  const mayAct = await act().then(
    () => true,
    (error: unknown) => {
      if (!hasCode(error, 'permission-denied')) throw error
      return false
    },
  )
  if (!mayAct) await session.query(`grant ${name} to current_user`)
  try {
    if (!mayAct) await act()
    await session.query(statement)
  } finally {
    await session.query('reset role')
    if (!mayAct) await session.query(`revoke ${name} from current_user`)
  }
}
