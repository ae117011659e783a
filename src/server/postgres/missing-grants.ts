import type { Creation, Session } from '../port.ts'

/**
 * Returns the statements that grant the session's role the privileges that creating these needs; none if it has them.
 */
export async function missingGrants(session: Session, creation: Creation): Promise<string[]> {
  const { newSchemas, schemas, altered, referenced } = creation
  const { rows } = await session.query<{ grant: string }>(grantsSql, [newSchemas, schemas, altered, referenced])
  return rows.map((row) => row.grant)
}

/**
 * The missing privileges. Only the owner of a table, and roles that inherit from it, may add to it
 * (https://www.postgresql.org/docs/current/ddl-priv.html). From version 16 on each membership says whether it is
 * inherited; before, an attribute of the role does.
 */
const grantsSql = `
  with me as (
    select r.rolinherit as inherits,
           exists (select from pg_catalog.pg_attribute where attrelid = 'pg_catalog.pg_auth_members'::regclass
                   and attname = 'inherit_option') as by_membership
    from pg_catalog.pg_roles r where r.rolname = current_user
  ), owners as (
    select distinct relowner as oid, pg_get_userbyid(relowner) as name, pg_has_role(relowner, 'member') as is_member
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not pg_has_role(relowner, 'usage')
      and n.nspname || '.' || c.relname = any($3::text[])
  ), tables as (
    select c.oid, n.nspname, c.relname,
           n.nspname || '.' || c.relname as name
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p')
  )
  select format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), current_user) as grant
  where exists (select unnest($1::text[]) except select nspname from pg_catalog.pg_namespace)
    and not has_database_privilege(current_database(), 'create')
  union all
  select format('GRANT USAGE, CREATE ON SCHEMA %I TO %I;', nspname, current_user)
  from pg_catalog.pg_namespace
  where nspname = any($2::text[]) and not (has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create'))
  union all
  select format('GRANT %I TO %I%s;', name, current_user,
                case when by_membership and (is_member or not inherits) then ' WITH INHERIT TRUE' end)
  from owners, me where by_membership or not is_member
  union all
  select format('ALTER ROLE %I INHERIT;', current_user) from me
  where not by_membership and not inherits and exists (select from owners)
  union all
  select format('GRANT REFERENCES ON %I.%I TO %I;', nspname, relname, current_user)
  from tables where name = any($4::text[]) and not has_table_privilege(oid, 'references')`
