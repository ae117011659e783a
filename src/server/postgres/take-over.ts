import type { Identifier } from '../../kernel/names.ts'
import type { GroupRoles } from '../port.ts'
import { grantCreate } from './database-privileges.ts'
import { doBlock, quoteIdentifier as quote, quoteLiteral } from './quoting.ts'
import { quoteName } from '../../kernel/quoting.ts'

/**
 * Returns the statements, for a session in a database of another origin, that make it like one of ours. It belongs to
 * `owner`; the session role's objects belong to `objects`; objects of others stay theirs, and their owners can still
 * connect. `app` can use all of it. A function that runs as its owner (SECURITY DEFINER) must not run as a role that
 * owns databases, or that makes roles: its callers could reach all others.
 */
export function takeOverStatements(database: Identifier, groups: GroupRoles): string[] {
  const { owner, objects, app } = groups
  return [
    grantCreate(database, objects),
    handOverObjects(database, owner),
    runStatements(schemas(objects)),
    runStatements(relations(objects)),
    runStatements(routines(objects)),
    runStatements(types(objects)),
    runStatements(grants(app, objects)),
    ...defaultPrivileges(groups),
  ]
}

/** Returns the statements after which `app` can use new objects of `objects`. */
export function defaultPrivileges({ objects, app }: Pick<GroupRoles, 'objects' | 'app'>): string[] {
  const defaults = `alter default privileges for role ${quote(objects)} grant`
  return [
    `${defaults} select, insert, update, delete on tables to ${quote(app)}`,
    `${defaults} usage, select, update on sequences to ${quote(app)}`,
    `${defaults} usage on schemas to ${quote(app)}`,
  ]
}

/** Returns the statement after which `app` can only read a table, if that exists, and its sequences. */
export function readOnlyStatement(schema: string, table: string, app: Identifier): string {
  const found = `pg_catalog.to_regclass(${quoteLiteral(`${quoteName(schema)}.${quoteName(table)}`)})`
  return runStatements(`
    select format('revoke insert, update, delete, truncate on table %s from ${quote(app)}', ${found})
    where ${found} is not null
    union all
    select format('revoke usage, update on sequence %s from ${quote(app)}', c.oid::regclass)
    from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid
    where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.refobjid = ${found} and c.relkind = 'S'`)
}

/**
 * Transfers the database. Its former owner, other than the session's role, can still connect to it. An owner's
 * privileges pass to the next one, so the grant comes after that.
 */
function handOverObjects(database: Identifier, owner: Identifier): string {
  return runStatements(`
    select unnest(array[
      format('alter database %I owner to ${quote(owner)}', datname),
      case when pg_get_userbyid(datdba) = current_user then null
           else format('grant create, connect, temporary on database %I to %I', datname, pg_get_userbyid(datdba)) end])
    from pg_catalog.pg_database where datname = ${quoteLiteral(database)} and pg_get_userbyid(datdba) <> ${quoteLiteral(owner)}`)
}

const ours = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`

/** Returns the condition that an object belongs to no extension, which keeps its own. */
function isOfNoExtension(catalog: string, oid: string): string {
  return `not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.${catalog}'::regclass
                        and d.objid = ${oid} and d.deptype = 'e')`
}

const mine = (owner: string) => `pg_get_userbyid(${owner}) = current_user`

function schemas(objects: Identifier): string {
  return `
    select case when ${mine('n.nspowner')} then format('alter schema %I owner to ${quote(objects)}', n.nspname)
                else format('grant usage, create on schema %I to ${quote(objects)}', n.nspname) end
    from pg_catalog.pg_namespace n where ${ours}`
}

/** Transfers relations. A sequence that belongs to a column is transferred with its table. */
function relations(objects: Identifier): string {
  return `
    select format('alter table %I.%I owner to ${quote(objects)}', n.nspname, c.relname)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${mine('c.relowner')} and ${isOfNoExtension('pg_class', 'c.oid')}
      and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass
                        and d.objid = c.oid and c.relkind = 'S' and d.deptype in ('a', 'i'))`
}

function routines(objects: Identifier): string {
  return `
    select format('alter %s %I.%I(%s) owner to ${quote(objects)}', case f.prokind when 'a' then 'aggregate' else 'routine' end,
                  n.nspname, f.proname,
                  pg_get_function_identity_arguments(f.oid))
    from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace
    where ${ours} and ${mine('f.proowner')} and ${isOfNoExtension('pg_proc', 'f.oid')}`
}

/** Transfers enums, domains, ranges and composite types of their own; the type of a table is the table's. */
function types(objects: Identifier): string {
  return `
    select format('alter type %I.%I owner to ${quote(objects)}', n.nspname, t.typname)
    from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
    left join pg_catalog.pg_class c on c.oid = t.typrelid
    where ${ours} and ${mine('t.typowner')} and ${isOfNoExtension('pg_type', 't.oid')}
      and (t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c'))`
}

function grants(app: Identifier, objects: Identifier): string {
  return `
    select format('grant usage on schema %I to ${quote(app)}', n.nspname) from pg_catalog.pg_namespace n where ${ours}
    union all
    select format('revoke create on schema %I from public', n.nspname) from pg_catalog.pg_namespace n where ${ours}
    union all
    select format('grant %s %I.%I to ${quote(app)}',
                  case c.relkind when 'S' then 'usage, select, update on sequence'
                                 else 'select, insert, update, delete on table' end, n.nspname, c.relname)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${isOfNoExtension('pg_class', 'c.oid')}
    union all
    select format('grant all on %s %I.%I to ${quote(objects)}', case c.relkind when 'S' then 'sequence' else 'table' end,
                  n.nspname, c.relname)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${isOfNoExtension('pg_class', 'c.oid')}
      and pg_get_userbyid(c.relowner) <> ${quoteLiteral(objects)}`
}

/** Returns the block that runs the statements of a query. */
function runStatements(query: string): string {
  return doBlock(`declare statement text; begin for statement in ${query} loop
       if statement is not null then execute statement; end if; end loop; end;`)
}
