import { poll } from '../../kernel/abort.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session, TenantSessions } from '../port.ts'
import { doBlock, quoteIdentifier as quote, quoteLiteral } from './quoting.ts'
import { endSessions } from './sessions.ts'

/** The time that sessions have to end, in milliseconds. */
const endingMs = 5_000

/**
 * Ends the sessions of tenants that have granted a role privileges on their temporary objects in the session's database.
 * The objects are dropped with them. No other role can name these, so no other can revoke the privileges one by one.
 */
export async function endTemporaryGrantors(
  session: Session,
  user: Identifier,
  { rolePrefix, group }: Pick<TenantSessions, 'rolePrefix' | 'group'>,
): Promise<void> {
  const areGone = async () => {
    const { rows } = await session.query<{ pid: number }>(temporaryGrantorsSql, [user, rolePrefix, group])
    await endSessions(
      session,
      rows.map(({ pid }) => pid),
    )
    return rows.length === 0 || undefined
  }
  await poll(areGone, endingMs, undefined)
}

/** Before version 16 a tenant can act as the group: then the session may be of any tenant. */
const temporaryGrantorsSql = `
  with granted as materialized (
    select distinct dbid, classid, objid from pg_catalog.pg_shdepend
    where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and deptype = 'a'
      and refobjid = (select oid from pg_catalog.pg_roles where rolname = $1)
      and dbid = (select oid from pg_catalog.pg_database where datname = current_database())
  ), owner as (
    select distinct r.rolname as name
    from granted g
    join pg_catalog.pg_shdepend o on (o.dbid, o.classid, o.objid, o.deptype) = (g.dbid, g.classid, g.objid, 'o')
    join pg_catalog.pg_roles r on r.oid = o.refobjid
    where pg_catalog.starts_with((pg_catalog.pg_identify_object(g.classid, g.objid, 0)).schema, 'pg_temp_')
  )
  select distinct a.pid from owner join pg_catalog.pg_stat_activity a on a.usename = owner.name or owner.name = $3
  where a.datname = current_database() and pg_catalog.starts_with(a.usename, $2)`

/**
 * The greatest cost of a DROP OWNED. It took 0.5 to 1.7 seconds for 100 columns of one table (cost 1.2 million), 6 to 12
 * seconds for 200 (8.8 million), and 31 to 37 seconds for 300 (29 million), on PostgreSQL 15 and 18.
 */
const greatestCost = 2_000_000

/**
 * Returns the statement that drops a role's objects and privileges in the session's database; it fails where others have
 * granted too many (program_limit_exceeded). PostgreSQL cannot interrupt it, and drops no database of the server meanwhile.
 */
export function dropOwnedStatement(user: Identifier): string {
  const message = quoteLiteral('other roles have granted it privileges on too many columns or objects')
  return doBlock(`if (${costSql(user)}) > ${greatestCost} then
      raise program_limit_exceeded using message = ${message};
    end if;
    drop owned by ${quote(user)};`)
}

/**
 * For each privilege on a table, or on a column of it, PostgreSQL changes all its columns, and for each of them passes the
 * versions that it has made before.
 */
function costSql(user: Identifier): string {
  return `select coalesce(sum(coalesce(c.relnatts, 1) * e.entries * (e.entries + 20)), 0) from (
      select classid, objid, count(*) as entries from pg_catalog.pg_shdepend
      where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and deptype = 'a'
        and refobjid = (select oid from pg_catalog.pg_roles where rolname = ${quoteLiteral(user)})
        and dbid = (select oid from pg_catalog.pg_database where datname = current_database())
      group by classid, objid) e
    left join pg_catalog.pg_class c on c.oid = e.objid and e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass`
}
