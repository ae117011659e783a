import type { GroupsInUse } from '../structure.ts'
import { quoteLiteral } from './quoting.ts'

/**
 * Returns the query for the objects in the session's database that the groups cannot use, as after a CREATE TABLE by a role
 * that administers: objects that belong neither to `objects` nor to a role that has granted everything on them, and those
 * of `tables` that the `app` role cannot read and write. Privileges that were revoked on a relation of `objects` are
 * ignored, unless it is one of `tables`.
 */
export function wrongPrivilegesQuery({ groups: { objects, app }, tables, defaultSchema }: GroupsInUse): string {
  const [owner, reader, omitted] = [objects, app, defaultSchema].map((name) => quoteLiteral(name)) as [
    string,
    string,
    string,
  ]
  return privilegesSql(owner, reader, tables.map((name) => quoteLiteral(name)).join(', '), omitted)
}

const ours = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`

/**
 * Returns the condition that a role has every one of these privileges; PostgreSQL's own functions take a list as any
 * one of them.
 */
function has(kind: 'table' | 'sequence' | 'schema', role: string, oid: string, privileges: readonly string[]): string {
  const each = privileges.map((it) => `pg_catalog.has_${kind}_privilege(${role}, ${oid}, '${it}')`)
  return `(${each.join(' and ')})`
}

const readAndWrite = ['select', 'insert', 'update', 'delete']
const count = ['usage', 'select', 'update']

function onRelation(role: string): string {
  return `case c.relkind when 'S' then ${has('sequence', role, 'c.oid', count)} else ${has('table', role, 'c.oid', readAndWrite)} end`
}

/** The sequence of a column is transferred with its table; one of an identity needs no privilege. */
const privilegesSql = (objects: string, app: string, tables: string, defaultSchema: string) => `
  with groups as (
    select o.oid as objects, a.oid as app, o.rolname as "objectsName", a.rolname as "appName"
    from pg_catalog.pg_roles o, pg_catalog.pg_roles a where o.rolname = ${objects} and a.rolname = ${app}
  ), relations as (
    select n.nspname as schema, c.relname as name, c.relkind::text as relkind, c.relowner as owner, d.deptype::text as part,
           g.*, c.relowner <> g.objects and not (${onRelation('g.objects')}) as "isOthers",
           not (${onRelation('g.app')}) as "isBarred",
           n.nspname || '.' || c.relname = any(array[${tables}]::text[]) as "isModels"
    from groups g, pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join pg_catalog.pg_depend d on c.relkind = 'S' and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      and d.objid = c.oid and d.deptype in ('a', 'i')
    where ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and not exists (select from pg_catalog.pg_depend e where e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        and e.objid = c.oid and e.deptype = 'e')
  )
  select * from (select 'schema' as kind, n.nspname::text as name, pg_catalog.pg_get_userbyid(n.nspowner)::text as owner,
         array[pg_catalog.format('grant usage, create on schema %I to %I;', n.nspname, g."objectsName"),
               pg_catalog.format('grant usage on schema %I to %I;', n.nspname, g."appName")] as statements
  from groups g, pg_catalog.pg_namespace n
  where ${ours} and (not ${has('schema', 'g.objects', 'n.oid', ['usage', 'create'])}
    or (not ${has('schema', 'g.app', 'n.oid', ['usage'])} and exists (select from relations r where r.schema = n.nspname and r."isModels")))
    and not exists (select from pg_catalog.pg_depend e where e.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                      and e.objid = n.oid and e.deptype = 'e')
  union all
  select case r.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'view' else 'table' end,
         case r.schema when ${defaultSchema} then r.name::text else r.schema || '.' || r.name end,
         pg_catalog.pg_get_userbyid(r.owner)::text,
         pg_catalog.array_remove(array[
           case when r."isOthers" and r.part is null then
             pg_catalog.format('alter table %I.%I owner to %I;', r.schema, r.name, r."objectsName") end,
           case when r."isBarred" then
             pg_catalog.format('grant %s %I.%I to %I;', case r.relkind when 'S' then '${count.join(', ')} on sequence'
               else '${readAndWrite.join(', ')} on table' end, r.schema, r.name, r."appName") end], null)
  from relations r
  where coalesce(r.part <> 'i', true) and (r."isOthers" or (r."isBarred" and r."isModels"))) as wrong
  order by kind = 'schema' desc, kind = 'table' desc, name`
