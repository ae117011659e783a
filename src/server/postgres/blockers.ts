import { pause } from '../../kernel/abort.ts'
import { explained, messageOf, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { EndedBlocker, Session } from '../port.ts'
import { asRole, endSessions, inRole } from './sessions.ts'

/** The time that an administrative statement may take before the watch looks for blockers, in milliseconds. */
const patienceMs = 1_000
/** The time between two looks, in milliseconds. */
const lookMs = 300

/** The policy by which the blockers of administrative statements are ended, if they are a tenant's. */
export interface BlockerPolicy {
  /** The prefix of the names of roles whose sessions and prepared transactions may be ended. */
  readonly tenantRoles: string
  /** The group of these roles: they can prepare a transaction as it. */
  readonly tenantGroup: Identifier
  readonly onEnded: (ended: EndedBlocker) => void
  /** Opens another session on the server: on this database, or another one if this cannot be connected to. */
  readonly connect: (database: Identifier) => Promise<Session>
  /** Opens another session on this database. */
  readonly connectThere: (database: Identifier) => Promise<Session>
  /** Opens a session on the server that does not depend on this database. */
  readonly connectElsewhere: (database: Identifier) => Promise<Session>
}

/**
 * Waits for a connection to a database, and ends the tenants' sessions that it waits for: any role can keep others from
 * connecting, by a DROP DATABASE that is refused once it has the lock, and that waits for a lock of another session.
 */
export async function whileConnecting<T>(
  policy: BlockerPolicy | undefined,
  database: Identifier,
  connecting: Promise<T>,
  afterMs = patienceMs,
): Promise<T> {
  if (policy === undefined) return connecting
  const over = new AbortController()
  const timer = setTimeout(() => void clearEntrance(policy, database, over.signal), afterMs)
  try {
    return await connecting
  } finally {
    clearTimeout(timer)
    over.abort()
  }
}

/**
 * Ends the blockers of a connection to a database, until that has ended; if it fails, the connection has its own limit.
 */
function clearEntrance(policy: BlockerPolicy, database: Identifier, over: AbortSignal): Promise<void> {
  const reported = new Set<number>()
  const look = async (session: Session) => {
    const { rows } = await session.query<{ pid: number }>(waitingSql, [database])
    for (const { pid } of rows) await endBlockers(session, pid, policy, reported)
  }
  return repeatedly(() => policy.connectElsewhere(database), look, { over, onError: () => undefined })
}

/**
 * Repeats a look until it is stopped, on a session that is opened again if it fails. A failure ends no watch: a tenant
 * may have caused it.
 */
async function repeatedly(
  connect: () => Promise<Session>,
  look: (session: Session) => Promise<void>,
  { over, onError }: { readonly over: AbortSignal; readonly onError: (error: unknown) => void },
): Promise<void> {
  let session: Session | undefined
  while (!over.aborted) {
    try {
      session ??= await connect()
      await look(session)
    } catch (error) {
      onError(error)
      await session?.close()
      session = undefined
    }
    await pause(lookMs, over).catch(() => undefined)
  }
  await session?.close()
}

/**
 * The sessions that wait for a database, and the logins that wait for a relation in it: any role can make them wait, by a
 * statement that is refused only once it has its lock, such as CREATE RULE on pg_class.
 */
const waitingSql = `
  select distinct l.pid from pg_catalog.pg_locks l
  join pg_catalog.pg_database d on d.datname = $1
  where not l.granted and l.pid is not null
    and (l.locktype = 'object' and l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and l.objid = d.oid
         or l.database = d.oid
            and not exists (select from pg_catalog.pg_stat_get_activity(l.pid) a where a.usesysid is not null))`

/** Reports tenants' sessions that were ended. */
export function reportEnded(ended: readonly EndedSession[], { onEnded }: BlockerPolicy): void {
  for (const { pid, user, database } of ended) {
    onEnded({ user: user ?? '', database: database ?? undefined, processId: pid, transaction: undefined })
  }
}

/** The watch over one session: it looks for blockers while a statement runs for longer than a moment. */
export class BlockerWatch {
  readonly #policy: BlockerPolicy
  readonly #session: { readonly database: Identifier; readonly processId: () => number | undefined }
  /** The session that the last statement waited for and that could not be ended, in words. */
  #unmoved: string | undefined

  constructor(
    policy: BlockerPolicy,
    session: { readonly database: Identifier; readonly processId: () => number | undefined },
  ) {
    this.#policy = policy
    this.#session = session
  }

  /** Watches one statement. @returns a function that ends the watch */
  start(): () => void {
    let over: AbortController | undefined
    this.#unmoved = undefined
    const timer = setTimeout(() => {
      over = new AbortController()
      void this.#clear(over.signal)
    }, patienceMs)
    return () => {
      clearTimeout(timer)
      over?.abort()
    }
  }

  /** Returns the error of a statement that waited too long, with its blocker, if one was seen. */
  explain(error: TenantryError): TenantryError {
    if (this.#unmoved === undefined || (error.code !== 'lock-timeout' && error.code !== 'timeout')) return error
    return explained(error, error.code, error.message, { hint: this.#unmoved })
  }

  #clear(over: AbortSignal): Promise<void> {
    const reported = new Set<number>()
    const look = async (session: Session) => {
      this.#unmoved = await endBlockers(session, this.#session.processId() ?? 0, this.#policy, reported)
    }
    const onError = (error: unknown) => {
      if (!over.aborted) this.#unmoved = `Its blockers could not be read: ${messageOf(error)}`
    }
    return repeatedly(() => this.#policy.connect(this.#session.database), look, { over, onError })
  }
}

/** A session that was ended. */
export interface EndedSession {
  readonly pid: number
  readonly user: Identifier | null
  readonly database: Identifier | null
}

/** A session that another one waits for. */
interface Blocker extends EndedSession {
  readonly isTenant: boolean
}

/**
 * Ends the tenants' sessions and prepared transactions that a session waits for, directly or through others.
 *
 * @param reported the process ids that were ended at an earlier look; this one adds its own
 * @returns the other blockers, in words for a hint; undefined if there are none
 */
async function endBlockers(
  session: Session,
  waiting: number,
  policy: BlockerPolicy,
  reported: Set<number>,
): Promise<string | undefined> {
  const { rows } = await session.query<Blocker>(blockersSql, [waiting, policy.tenantRoles])
  const ended = rows.filter(({ isTenant }) => isTenant)
  await endSessions(
    session,
    ended.map(({ pid }) => pid),
  )
  reportEnded(
    ended.filter(({ pid }) => !reported.has(pid)),
    policy,
  )
  const lasting = ended.find(({ pid }) => reported.has(pid))
  for (const { pid } of ended) reported.add(pid)
  await endCopiesBefore(session, waiting, policy)
  if (rows.some(({ pid }) => pid === 0)) await rollBackBlocking(session, waiting, policy)
  const other = rows.find(({ isTenant, pid }) => !isTenant && pid !== 0)
  if (other !== undefined) return `It waited for ${describeBlocker(other)}.`
  return (
    lasting &&
    `It waited for ${describeBlocker(lasting)}, which has received the request to end. It runs a statement that cannot be interrupted, or its client does not read: close that client's connection.`
  )
}

function describeBlocker({ pid, user, database }: Blocker): string {
  return `the process ${pid} (${user ?? 'no role'}, in ${database ?? '?'})`
}

/**
 * The sessions that a session waits for. PostgreSQL gives 0 for a prepared transaction, which has no process
 * (pg_blocking_pids).
 */
const blockersSql = `
  with recursive chain (pid) as (
    select unnest(pg_catalog.pg_blocking_pids($1))
    union
    select unnest(pg_catalog.pg_blocking_pids(chain.pid)) from chain where chain.pid <> 0
  )
  select chain.pid, a.usename as "user", a.datname as database,
         coalesce(pg_catalog.starts_with(a.usename, $2::text), false) as "isTenant"
  from chain left join pg_catalog.pg_stat_activity a on a.pid = chain.pid`

/** A prepared transaction of a tenant's role. */
interface Prepared {
  /** Its transaction, by which its name can be read in its own database. */
  readonly transaction: string
  readonly owner: Identifier
  readonly database: Identifier
}

/** Rolls back the prepared transactions of tenants that hold a lock which a session waits for. */
async function rollBackBlocking(session: Session, waiting: number, policy: BlockerPolicy): Promise<void> {
  const { rows } = await session.query<Prepared>(blockingPreparedSql, [waiting, policy.tenantRoles, policy.tenantGroup])
  await rollBack(session, rows, policy)
}

/**
 * The prepared transactions that a session waits for. A lock of a prepared transaction has no process. It belongs to
 * the virtual transaction that also has the lock on the prepared transaction's own number.
 */
const blockingPreparedSql = `
  with recursive chain (pid) as (
    select $1::int
    union
    select unnest(pg_catalog.pg_blocking_pids(chain.pid)) from chain where chain.pid <> 0
  )
  select distinct p.transaction::text as transaction, p.owner, p.database
  from chain
  join pg_catalog.pg_locks w on w.pid = chain.pid and not w.granted
  join pg_catalog.pg_locks h on h.pid is null and h.granted and h.locktype = w.locktype
    and h.database is not distinct from w.database and h.relation is not distinct from w.relation
    and h.transactionid is not distinct from w.transactionid and h.classid is not distinct from w.classid
    and h.objid is not distinct from w.objid
  join pg_catalog.pg_locks x on x.pid is null and x.locktype = 'transactionid'
    and x.virtualtransaction = h.virtualtransaction
  join pg_catalog.pg_prepared_xacts p on p.transaction = x.transactionid
  where pg_catalog.starts_with(p.owner, $2::text) or p.owner = $3`

/** Rolls back the prepared transactions of tenants in a database, and those of one role in any; see `Server.rollBackPrepared`. */
export async function rollBackPrepared(
  session: Session,
  database: Identifier,
  user: Identifier | undefined,
  policy: BlockerPolicy,
): Promise<void> {
  const { rows } = await session.query<Prepared>(
    `select transaction::text as transaction, owner, database from pg_catalog.pg_prepared_xacts
     where owner = $4 or database = $1 and (pg_catalog.starts_with(owner, $2::text) or owner = $3)`,
    [database, policy.tenantRoles, policy.tenantGroup, user ?? null],
  )
  await rollBack(session, rows, policy)
}

/** Rolls back each in its own database, as its own role: PostgreSQL refuses any other (ROLLBACK PREPARED). */
async function rollBack(session: Session, prepared: readonly Prepared[], policy: BlockerPolicy): Promise<void> {
  for (const { transaction, owner, database } of prepared) {
    const there = database === session.database ? session : await enter(database, transaction, policy)
    try {
      const gid = await gidOf(there, transaction)
      if (gid === undefined) continue
      await asRole(there, owner, `rollback prepared ${gid.literal}`)
      policy.onEnded({ user: owner, database, processId: undefined, transaction: gid.text })
    } finally {
      if (there !== session) await there.close()
    }
  }
}

/**
 * Returns the name of a prepared transaction: it has the encoding of its own database, from which other databases read
 * other characters, or none. The literal has its bytes.
 */
async function gidOf(session: Session, transaction: string): Promise<{ text: string; literal: string } | undefined> {
  const { rows } = await session.query<{ text: string; bytes: string }>(
    `select gid as text, encode(convert_to(gid, getdatabaseencoding()), 'hex') as bytes
     from pg_catalog.pg_prepared_xacts where transaction = $1::xid`,
    [transaction],
  )
  return rows[0] && { text: rows[0].text, literal: `E'${rows[0].bytes.replaceAll(/../g, String.raw`\x$&`)}'` }
}

/** Connects to a database that a tenant may keep others from entering: its sessions that do are ended meanwhile. */
async function enter(database: Identifier, transaction: string, policy: BlockerPolicy): Promise<Session> {
  try {
    return await whileConnecting(policy, database, policy.connectThere(database), lookMs)
  } catch (error) {
    throw notThere(transaction, database, error)
  }
}

function notThere(transaction: string, database: Identifier, cause: unknown): TenantryError {
  const message = `A prepared transaction in ${database}, number ${transaction}, could not be rolled back.`
  return new TenantryError('query-failed', message, {
    cause,
    hint: `Connect to ${database} as a superuser, find it in pg_prepared_xacts, and run ROLLBACK PREPARED with its gid.`,
  })
}

/**
 * Ends the tenants' sessions that wait for data in COPY ... FROM STDIN, or for a client that reads nothing, if a
 * statement waits until every process of the server has closed the files of a database: such a session does not respond
 * (DROP DATABASE).
 */
async function endCopiesBefore(session: Session, waiting: number, policy: BlockerPolicy): Promise<void> {
  const { rows } = await session.query<{ user: Identifier }>(
    `select distinct a.usename as "user" from pg_catalog.pg_stat_activity a
     where pg_catalog.starts_with(a.usename, $2::text)
       and exists (select from pg_catalog.pg_stat_activity w where w.pid = $1 and w.wait_event = 'ProcSignalBarrier')`,
    [waiting, policy.tenantRoles],
  )
  for (const { user } of rows) {
    const end = async () => {
      const copying = await session.query<EndedSession>(copiesSql, [user])
      await endSessions(
        session,
        copying.rows.map(({ pid }) => pid),
      )
      return copying.rows
    }
    reportEnded(await inRole(session, user, end), policy)
  }
}

/** An idle session waits for data as well. One whose last result is not read waits for its client, and may be idle. */
const copiesSql = `
  select pid, usename as "user", datname as database from pg_catalog.pg_stat_activity
  where usename = $1 and (wait_event = 'ClientWrite' or wait_event = 'ClientRead' and state not like 'idle%')`
