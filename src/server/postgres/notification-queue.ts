import { pause } from '../../kernel/abort.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'
import { type BlockerPolicy, type EndedSession, reportEnded } from './blockers.ts'
import { endSessions, inRole } from './sessions.ts'

/** The time between two looks, in milliseconds. */
const lookMs = 300
/** The part of the queue of notifications that may stay full. */
const fullestQueue = 0.5
/** The number of sessions that are ended at most to free it. */
const mostListeners = 50

/**
 * Ends tenants' sessions, the one with the oldest transaction first, until there is room in the queue of notifications.
 * A session that listens and stays in a transaction keeps all notifications since (NOTIFY, Notes).
 */
export async function freeNotificationQueue(session: Session, policy: BlockerPolicy): Promise<void> {
  for (let ended = 0; ended < mostListeners; ended++) {
    // The query itself makes the server discard notifications that every session has read.
    const { rows } = await session.query<{ usage: number }>('select pg_catalog.pg_notification_queue_usage() as usage')
    if ((rows[0]?.usage ?? 0) < fullestQueue || !(await endOldest(session, policy))) return
    await pause(lookMs, undefined)
  }
}

async function endOldest(session: Session, policy: BlockerPolicy): Promise<boolean> {
  const connected = await session.query<{ user: Identifier }>(
    `select distinct usename as "user" from pg_catalog.pg_stat_activity where pg_catalog.starts_with(usename, $1::text)`,
    [policy.tenantRoles],
  )
  const open: OpenTransaction[] = []
  // The begin of another role's transaction is hidden.
  for (const { user } of connected.rows) {
    open.push(...(await inRole(session, user, () => session.query<OpenTransaction>(openSql, [user]))).rows)
  }
  const ended = open.toSorted((one, other) => one.since - other.since).slice(0, 1)
  await endSessions(
    session,
    ended.map(({ pid }) => pid),
  )
  reportEnded(ended, policy)
  return ended.length > 0
}

/** A session in a transaction. */
interface OpenTransaction extends EndedSession {
  /** The begin of the transaction, in seconds since 1970. */
  readonly since: number
}

/** The oldest transaction of a role. */
const openSql = `
  select pid, usename as "user", datname as database, extract(epoch from xact_start)::float8 as since
  from pg_catalog.pg_stat_activity where usename = $1 and xact_start is not null order by xact_start limit 1`
