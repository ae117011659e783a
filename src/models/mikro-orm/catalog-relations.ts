/**
 * A statement with which MikroORM reads a live schema, with relations of our own over `pg_catalog` in place of those of
 * `information_schema`, and without casts that need a schema's USAGE. One that asks for a relation that is not known
 * here stays as it is.
 *
 * `information_schema` hides from a role what it has no privilege on, and definitions from all but their owner: a
 * service with no right but to use its tables would find some of them missing, others different. The catalogs below it
 * (https://www.postgresql.org/docs/current/catalogs.html) can be read by every role.
 */
export function askingCatalogs(statement: string): string {
  const asked = new Map<string, string>()
  let isKnown = true
  const replaced = statement.replaceAll(
    token,
    (text: string, ownName: string | undefined, literal: string | undefined, relation: string | undefined) => {
      if (ownName !== undefined) return 'table_oid'
      if (literal !== undefined) return oidOf(literal)
      if (relation === undefined) return text
      const name = relation.toLowerCase()
      const definition = relations[name]
      if (definition === undefined) isKnown = false
      else asked.set(`tenantry_${name}`, definition)
      return `tenantry_${name}`
    },
  )
  if (!isKnown) return statement
  if (asked.size === 0) return replaced
  // Not materialized, so that a statement's conditions reach the catalogs' indexes even where it asks twice.
  const added = [...asked].map(([name, definition]) => `${name} as not materialized (${definition})`).join(', ')
  return replaced.replace(/^\s*(with\b(?:\s+recursive\b)?)?/i, (_, own: string | undefined) =>
    own === undefined ? `with ${added} ` : `${own} ${added}, `,
  )
}

const string = String.raw`\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'`

/** What is replaced, and what is skipped whole because a name in it is none: other strings, and comments. */
const token = new RegExp(
  [
    // The name of a row of `tables`, by which MikroORM looks up the table's comment. It breaks on a quote in the name.
    String.raw`(\('"' \|\| table_schema \|\| '"\."' \|\| table_name \|\| '"'\)::regclass)`,
    String.raw`((?=E?'")(?:${string}))::regclass`,
    string,
    String.raw`--[^\n]*`,
    String.raw`\binformation_schema\.(\w+)`,
  ].join('|'),
  'gi',
)

/** As the cast to regclass does, which fails where the role may not use the schema. */
function oidOf(literal: string): string {
  return `(select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = (parse_ident(${literal}))[1]::name and c.relname = (parse_ident(${literal}))[2]::name)`
}

/**
 * Relations of `information_schema`, with the columns that MikroORM asks for, by PostgreSQL's own definitions of them
 * (those of 15 and 18 agree, but for the NOT NULL constraints that are new in 18), less their conditions on privileges.
 */
const relations: Readonly<Record<string, string>> = {
  // Other sessions' temporary schemas are left out, as ever.
  tables: `
    select n.nspname as table_schema, c.relname as table_name, c.oid as table_oid,
      case when n.oid = pg_my_temp_schema() then 'LOCAL TEMPORARY' when c.relkind = 'v' then 'VIEW'
        when c.relkind = 'f' then 'FOREIGN' else 'BASE TABLE' end as table_type
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'f') and not pg_is_other_temp_schema(n.oid)`,

  views: `
    select n.nspname as table_schema, c.relname as table_name, pg_get_viewdef(c.oid) as view_definition
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'v' and not pg_is_other_temp_schema(n.oid)`,

  schemata: 'select nspname as schema_name from pg_namespace',

  // A domain counts as the type below it, but for its own NOT NULL.
  columns: `
    select n.nspname as table_schema, c.relname as table_name, a.attname as column_name, a.attnum as ordinal_position,
      case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end as column_default,
      case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end as generation_expression,
      case when a.attnotnull or (t.typtype = 'd' and t.typnotnull) then 'NO' else 'YES' end as is_nullable,
      case when b.typelem <> 0 and b.typlen = -1 then 'ARRAY'
        when bn.nspname = 'pg_catalog' then format_type(b.oid, null) else 'USER-DEFINED' end as data_type,
      bn.nspname as udt_schema, b.typname as udt_name,
      information_schema._pg_char_max_length(m.typid, m.typmod) as character_maximum_length,
      information_schema._pg_numeric_precision(m.typid, m.typmod) as numeric_precision,
      information_schema._pg_numeric_scale(m.typid, m.typmod) as numeric_scale,
      information_schema._pg_datetime_precision(m.typid, m.typmod) as datetime_precision,
      case when a.attidentity in ('a', 'd') then 'YES' else 'NO' end as is_identity,
      case a.attidentity when 'a' then 'ALWAYS' when 'd' then 'BY DEFAULT' end as identity_generation
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_type t on t.oid = a.atttypid
    join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
    join pg_namespace bn on bn.oid = b.typnamespace
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    cross join lateral (select case when t.typtype = 'd' then t.typbasetype else a.atttypid end as typid,
      case when t.typtype = 'd' then t.typtypmod else a.atttypmod end as typmod) m
    where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'f')
      and not pg_is_other_temp_schema(n.oid)`,

  // One row for each event of a trigger.
  triggers: `
    select n.nspname as event_object_schema, c.relname as event_object_table, t.tgname as trigger_name,
      e.name as event_manipulation,
      case t.tgtype & 1 when 1 then 'ROW' else 'STATEMENT' end as action_orientation,
      case t.tgtype & 66 when 2 then 'BEFORE' when 64 then 'INSTEAD OF' else 'AFTER' end as action_timing,
      (regexp_match(pg_get_triggerdef(t.oid), '.{35,} WHEN [(](.+)[)] EXECUTE FUNCTION'))[1] as action_condition
    from pg_trigger t
    join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    join (values (4, 'INSERT'), (8, 'DELETE'), (16, 'UPDATE')) e (bit, name) on t.tgtype & e.bit <> 0
    where not t.tgisinternal and not pg_is_other_temp_schema(n.oid)`,

  // A check's columns are those that it depends on; a key's are its own; a foreign key's, those that it refers to.
  constraint_column_usage: `
    select distinct n.nspname as table_schema, c.relname as table_name, a.attname as column_name,
      kn.nspname as constraint_schema, k.conname as constraint_name
    from pg_constraint k
    join pg_namespace kn on kn.oid = k.connamespace
    join pg_depend d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid
      and d.refclassid = 'pg_class'::regclass
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid and not a.attisdropped
    join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
    join pg_namespace n on n.oid = c.relnamespace
    where k.contype = 'c'
    union all
    select n.nspname, c.relname, a.attname, kn.nspname, k.conname
    from pg_constraint k
    join pg_namespace kn on kn.oid = k.connamespace
    join pg_class c on c.oid = case k.contype when 'f' then k.confrelid else k.conrelid end and c.relkind in ('r', 'p')
    join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
      and a.attnum = any (case k.contype when 'f' then k.confkey else k.conkey end)
    join pg_namespace n on n.oid = c.relnamespace
    where k.contype in ('p', 'u', 'f', 'n')`,
}
