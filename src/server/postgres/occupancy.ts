import type { Occupancy, SessionMark } from '../occupancy.ts'
import type { Session } from '../port.ts'

/** PostgreSQL cuts longer names of applications where it shows them. */
const longestName = 63

/** An application's name with the mark at its end; cut where both are too long. */
export function marked(applicationName: string, mark: SessionMark | undefined): string {
  if (mark === undefined) return applicationName
  const suffix = ` #${mark.family}${mark.member}`
  // What is not ASCII it shows as a question mark, or from version 16 on as its bytes' numbers, which take more room.
  const name = applicationName.replaceAll(/[^\x20-\x7e]/gu, '?')
  return name.slice(0, longestName - suffix.length) + suffix
}

/** How many connections the server has for roles that are no superusers. */
export const roomSql = `(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
  - coalesce(current_setting('reserved_connections', true), '0')::int)`

interface Row {
  readonly room: number
  readonly names: readonly string[]
}

/**
 * See {@link Server.occupancy}. Every role may see the names of all sessions' applications, in all databases
 * (pg_stat_activity; PostgreSQL's documentation, "The Cumulative Statistics System").
 */
export async function occupancyOf(session: Pick<Session, 'query'>, family: string): Promise<Occupancy> {
  const { rows } = await session.query<Row>(
    `select ${roomSql} as room,
       array(select application_name from pg_catalog.pg_stat_activity where application_name like $1) as names`,
    [`% #${family}____`],
  )
  const sessions = new Map<string, number>()
  for (const name of rows[0]?.names ?? []) {
    const member = name.slice(-4)
    sessions.set(member, (sessions.get(member) ?? 0) + 1)
  }
  return { room: rows[0]?.room ?? 0, sessions }
}
