import { poll } from '../../kernel/abort.ts'
import { hasCode } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { LoginsUnderWay, Session } from '../port.ts'
import { doBlock } from './quoting.ts'
import { actAs, inRole, rolledBack } from './sessions.ts'

/**
 * The logins under way. A login holds, or waits for, the lock on its database until pg_stat_activity shows its role, and by
 * then PostgreSQL has checked LOGIN and CONNECT. Any client can prolong that by up to 36 minutes (post_auth_delay in the
 * options of its connection).
 */
const loginsSql = `
  select l.pid from pg_catalog.pg_locks l
  where l.locktype = 'object' and l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and l.pid is not null
    and ($1::text is null or l.objid = (select oid from pg_catalog.pg_database where datname = $1))
    and not exists (select from pg_catalog.pg_stat_get_activity(l.pid) a where a.usesysid is not null)`

/** The time in which a login usually comes to its end, in milliseconds; it is not disturbed before. */
const usualMs = 500
/** The time that logins have to end, in milliseconds. */
const endingMs = 5_000

/**
 * Ends the logins under way of a role, or of tenants' roles to a database; see `Server.endLogins`.
 *
 * @returns false if one of them is still under way
 */
export async function endLogins(session: Session, whose: LoginsUnderWay, tenantRoles: string): Promise<boolean> {
  const database = 'database' in whose ? whose.database : null
  const end = (pid: number) =>
    'user' in whose ? endAs(session, whose.user, pid) : endAsTenants(session, tenantRoles, pid)
  const look = async () => (await session.query<{ pid: number }>(loginsSql, [database])).rows.map(({ pid }) => pid)
  // A login that begins later is refused, or has the new password.
  const concerned = new Set(await look())
  if (concerned.size === 0) return true
  const since = performance.now()
  const haveEnded = async () => {
    const left = (await look()).filter((pid) => concerned.has(pid))
    if (left.length > 0 && performance.now() - since < usualMs) return undefined
    for (const pid of left) if (!(await end(pid))) concerned.delete(pid)
    return left.every((pid) => !concerned.has(pid)) || undefined
  }
  return (await poll(haveEnded, endingMs, undefined)) === true
}

/**
 * Ends a login if it belongs to a role. It acts as that role, since PostgreSQL does not show the role of a login.
 *
 * @returns false if it belongs to another role
 */
async function endAs(session: Session, user: Identifier, pid: number): Promise<boolean> {
  return unlessDenied(inRole(session, user, () => session.query(terminateSql, [pid])))
}

/** The number of roles to try with one statement. */
const rolesAtOnce = 100

/** Ends a login if it is of any tenant; of any role, if the session's own may end every session. */
async function endAsTenants(session: Session, tenantRoles: string, pid: number): Promise<boolean> {
  if (await unlessDenied(session.query(terminateSql, [pid]))) return true
  const { rows } = await session.query<{ user: Identifier }>(
    'select rolname as "user" from pg_catalog.pg_roles where pg_catalog.starts_with(rolname, $1::text) and rolcanlogin',
    [tenantRoles],
  )
  const roles = rows.map(({ user }) => user)
  for (let at = 0; at < roles.length; at += rolesAtOnce) {
    const some = roles.slice(at, at + rolesAtOnce)
    if (await unlessDenied(rolledBack(session, () => session.query(endAsOneOf(some, pid))))) return true
  }
  return false
}

/** Returns a statement that ends a process as the first role that may, and fails if none of them may. */
function endAsOneOf(roles: readonly Identifier[], pid: number): string {
  const attempts = roles.map(
    (role) => `begin ${actAs(role)} perform pg_catalog.pg_terminate_backend(${pid}); return;
      exception when insufficient_privilege then null; end;`,
  )
  return doBlock(`${attempts.join('\n')} raise insufficient_privilege;`)
}

const terminateSql = 'select pg_catalog.pg_terminate_backend($1)'

async function unlessDenied(ending: Promise<unknown>): Promise<boolean> {
  try {
    await ending
    return true
  } catch (error) {
    if (hasCode(error, 'permission-denied')) return false
    throw error
  }
}
