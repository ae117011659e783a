import { poll } from '../../kernel/abort.ts'
import type { ScriptOptions, Session } from '../session.ts'
import { type BlockerPolicy, type EndedSession, reportEnded } from './blockers.ts'
import { endSessions } from './sessions.ts'

/**
 * Returns the temporary objects of other sessions that depend on lasting ones of the session's database, such as a view on
 * a table: at most five, by their names. Every role that may create temporary objects can make them, and without a lock
 * that lasts they keep columns, types and functions from being dropped or changed.
 */
export async function temporaryDependents(session: Session): Promise<readonly string[]> {
  const { rows } = await session.query<{ name: string }>(dependentsSql)
  return rows.map(({ name }) => name)
}

/** Objects of PostgreSQL itself have smaller numbers (FirstNormalObjectId). */
const firstOid = 16_384

const isTemporary = String.raw`~ '\mpg_temp_\d'`

const dependentsSql = `
  select distinct dependent.identity as name
  from pg_catalog.pg_depend d, lateral pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) as dependent
  where d.objid >= ${firstOid} and d.refobjid >= ${firstOid} and dependent.identity ${isTemporary}
    and (pg_catalog.pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid)).identity !${isTemporary}
    and d.refclassid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass
  order by name limit 5`

/** The time that sessions have to end, in milliseconds: tables are locked meanwhile. */
const endingMs = 3_000

/**
 * Locks tables until the end of the session's transaction, so that no further object can refer to them, and ends the
 * tenants' sessions in its database as long as there are {@link temporaryDependents}: they are dropped with their
 * session.
 *
 * @param beside another session on that database
 * @param tables qualified names
 * @returns false if some remain
 */
export async function endTemporaryDependents(
  session: Session,
  beside: Session,
  tables: readonly string[],
  { policy, ...options }: ScriptOptions & { readonly policy: BlockerPolicy },
): Promise<boolean> {
  const { rows } = await session.query<{ statement: string }>(lockSql, [tables])
  await session.script(
    rows.map(({ statement }) => statement),
    options,
  )
  const reported = new Set<number>()
  const areGone = async () => {
    const { rows: others } = await beside.query<EndedSession>(tenantsSql, [policy.tenantRoles])
    if ((await temporaryDependents(beside)).length === 0) return true
    // Those of an ended session are dropped before it vanishes.
    if (others.length === 0) return false
    await endSessions(
      beside,
      others.map(({ pid }) => pid),
    )
    reportEnded(
      others.filter(({ pid }) => !reported.has(pid)),
      policy,
    )
    for (const { pid } of others) reported.add(pid)
    return undefined
  }
  return (await poll(areGone, endingMs, undefined)) === true
}

const lockSql = `
  select pg_catalog.format('lock table only %I.%I in access exclusive mode', n.nspname, c.relname) as statement
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname || '.' || c.relname = any($1) order by c.oid`

const tenantsSql = `
  select pid, usename as "user", datname as database from pg_catalog.pg_stat_activity
  where datname = current_database() and pg_catalog.starts_with(usename, $1)`
