import type { Occupancy, OccupancyQuestion, SessionMark } from '../occupancy.ts'
import type { Session } from '../port.ts'

/** The longest name of an application; PostgreSQL cuts longer ones. */
const longestName = 63

/** Returns an application's name with the mark at its end; the name is cut if both are too long. */
export function marked(applicationName: string, mark: SessionMark | undefined): string {
  if (mark === undefined) return applicationName
  const suffix = ` #${mark.family}${mark.member}`
  // PostgreSQL shows other characters than ASCII as a question mark, or from version 16 on as its bytes' numbers, which
  // take more room.
  const name = applicationName.replaceAll(/[^\x20-\x7e]/gu, '?')
  return name.slice(0, longestName - suffix.length) + suffix
}

/** The number of connections that the server has for roles that are no superusers. */
export const roomSql = `(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
  - coalesce(current_setting('reserved_connections', true), '0')::int)`

interface Row {
  readonly room: number
  readonly sessions: readonly { readonly process: string; readonly role: string | null; readonly count: number }[]
}

/**
 * Counts marked sessions; see {@link Server.occupancy}. Every role may see the names of all sessions' applications, in
 * all databases (pg_stat_activity; PostgreSQL's documentation, "The Cumulative Statistics System"), and may change that
 * of its own. The role that a session has logged in as stays the same for its whole life.
 */
export async function occupancyOf(
  session: Pick<Session, 'query'>,
  { family, tenantRoles, tenantGroup, isAmongProcesses }: OccupancyQuestion,
): Promise<Occupancy> {
  const { rows } = await session.query<Row>(occupancySql, [
    `% #${family}____`,
    tenantRoles,
    tenantGroup,
    isAmongProcesses,
  ])
  const [{ room, sessions } = { room: 0, sessions: [] }] = rows
  return { room, sessions: sessions.map(({ role, ...counted }) => ({ ...counted, tenantRole: role ?? undefined })) }
}

const occupancySql = `
  select ${roomSql} as room,
    coalesce((
      select pg_catalog.json_agg(s) from (
        select pg_catalog.right(a.application_name, 4) as process, t.rolname as role, count(*) as count
        from pg_catalog.pg_stat_activity a
        left join pg_catalog.pg_roles t on t.oid = a.usesysid and pg_catalog.starts_with(t.rolname, $2)
          and exists (select from pg_catalog.pg_auth_members m join pg_catalog.pg_roles g on g.oid = m.roleid
                      where m.member = t.oid and g.rolname = $3)
        where a.application_name like $1
          and (t.oid is not null or a.usename = session_user
               or $4 and pg_catalog.has_database_privilege(a.usesysid, pg_catalog.current_database(), 'connect'))
        group by 1, 2) s
    ), '[]') as sessions`
