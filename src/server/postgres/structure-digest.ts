import { TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Session } from '../port.ts'

/**
 * A hash of the structure of the session's database. It leaves out what may differ between two databases of one
 * structure: numbers (OIDs, the order of columns), owners and privileges, rows, and where sequences stand. Since no other
 * schema than pg_catalog is in a session's search_path, every definition names what it refers to with its schema.
 *
 * @param grantee the role whose privileges count all the same
 */
export async function structureDigest(session: Session, grantee?: Identifier): Promise<string> {
  const { rows } = await session.transaction(() => session.query<{ digest: string }>(digestSql, [grantee ?? null]), {
    isolation: 'repeatable read',
    readOnly: true,
  })
  const digest = rows[0]?.digest
  if (digest !== undefined) return digest
  throw new TenantryError('query-failed', `The structure of ${session.database} could not be read.`)
}

/**
 * One line for each thing, from https://www.postgresql.org/docs/current/catalogs.html, sorted by their bytes. What an
 * extension brought along is its own business, and its name and version are a line. NOT NULL is said with the column: as
 * constraints such conditions have a name from version 18 on only.
 */
const digestSql = `
  with ours as materialized (
    select n.oid, n.nspname from pg_namespace n
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  ), brought as materialized (
    select classid, objid from pg_depend where deptype = 'e'
  ), relation as materialized (
    select c.*, format('%I.%I', o.nspname, c.relname) as name
    from pg_class c join ours o on o.oid = c.relnamespace
    where not exists (select from brought b where b.classid = 'pg_class'::regclass and b.objid = c.oid)
  ), line (text) as (
    select concat_ws(' ', 'schema', nspname) from ours
    union all
    select concat_ws(' ', 'extension', e.extname, e.extversion, o.nspname)
    from pg_extension e join pg_namespace o on o.oid = e.extnamespace
    union all
    select concat_ws(' ', 'relation', name, relkind, relpersistence, relrowsecurity, relforcerowsecurity, reloptions,
                     pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid))
    from relation where relkind in ('r', 'p', 'v', 'm', 'f', 'c', 'S')
    union all
    select concat_ws(' ', 'parent', r.name, i.inhparent::regclass) from pg_inherits i join relation r on r.oid = i.inhrelid
    union all
    select concat_ws(' ', 'column', r.name, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
                     a.attidentity, a.attgenerated, nullif(a.attcollation, t.typcollation)::regcollation,
                     pg_get_expr(d.adbin, d.adrelid))
    from relation r
    join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
    union all
    select concat_ws(' ', 'constraint', coalesce(r.name, k.contypid::regtype::text), quote_ident(k.conname),
                     pg_get_constraintdef(k.oid))
    from pg_constraint k join ours o on o.oid = k.connamespace left join relation r on r.oid = k.conrelid
    where k.contype <> 'n' and (r.oid is not null or k.contypid <> 0)
    union all
    select concat_ws(' ', 'index', r.name, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered)
    from pg_index i join relation r on r.oid = i.indrelid
    union all
    select concat_ws(' ', 'sequence', r.name, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
                     s.seqcycle)
    from pg_sequence s join relation r on r.oid = s.seqrelid
    union all
    select concat_ws(' ', 'view', name, pg_get_viewdef(oid)) from relation where relkind in ('v', 'm')
    union all
    select concat_ws(' ', 'rule', r.name, pg_get_ruledef(w.oid))
    from pg_rewrite w join relation r on r.oid = w.ev_class where w.rulename <> '_RETURN'
    union all
    select concat_ws(' ', 'trigger', r.name, pg_get_triggerdef(t.oid), t.tgenabled)
    from pg_trigger t join relation r on r.oid = t.tgrelid where not t.tgisinternal
    union all
    select concat_ws(' ', 'policy', r.name, quote_ident(p.polname), p.polcmd, p.polpermissive,
                     (select array_agg(x::regrole::text order by x::regrole::text) from unnest(p.polroles) x where x <> 0),
                     pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_policy p join relation r on r.oid = p.polrelid
    union all
    select concat_ws(' ', 'statistics', r.name, pg_get_statisticsobjdef(s.oid))
    from pg_statistic_ext s join relation r on r.oid = s.stxrelid
    union all
    select case when f.prokind = 'a'
                then concat_ws(' ', 'aggregate', f.oid::regprocedure, a.aggtransfn, a.aggfinalfn, a.agginitval)
                else concat_ws(' ', 'function', pg_get_functiondef(f.oid)) end
    from pg_proc f join ours o on o.oid = f.pronamespace left join pg_aggregate a on a.aggfnoid = f.oid
    where not exists (select from brought b where b.classid = 'pg_proc'::regclass and b.objid = f.oid)
    union all
    select concat_ws(' ', 'type', format('%I.%I', o.nspname, t.typname), t.typtype, t.typnotnull, t.typdefault,
                     case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end,
                     (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid))
    from pg_type t join ours o on o.oid = t.typnamespace
    where t.typtype in ('d', 'e', 'r')
      and not exists (select from brought b where b.classid = 'pg_type'::regclass and b.objid = t.oid)
    union all
    select concat_ws(' ', 'grant', g.what, g.name, a.privilege_type, a.is_grantable)
    from (select 'relation', name, relacl from relation
          union all
          select 'schema', o.nspname, n.nspacl from ours o join pg_namespace n on n.oid = o.oid
          union all
          select 'column', format('%s.%I', r.name, t.attname), t.attacl
          from relation r join pg_attribute t on t.attrelid = r.oid and t.attnum > 0 and not t.attisdropped
          union all
          select 'function', f.oid::regprocedure::text, f.proacl from pg_proc f join ours o on o.oid = f.pronamespace
          union all
          select 'default', concat(d.defaclnamespace::regnamespace, d.defaclobjtype), d.defaclacl from pg_default_acl d
         ) g (what, name, acl)
    cross join aclexplode(g.acl) a
    where a.grantee = to_regrole(quote_ident($1::text))
  )
  select encode(sha256(convert_to(coalesce(string_agg(text, E'\\n' order by text collate "C"), ''), 'UTF8')), 'hex') as digest
  from line`
