/**
 * The part of the structure query that words what is no relation: schemas, extensions, functions and types.
 */
export const othersSql = `
  select 'schema', nspname, nspname, null, '' from ours
  union all
  select 'extension', e.extname, e.extname, null, concat_ws(' ', 'version', e.extversion, 'schema', n.nspname)
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql'
  union all
  select case f.prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window function' else 'function' end,
         f.nspname, f.signature, null,
         case when f.prokind = 'a'
              then concat_ws(' ', 'aggregate', f.oid::regprocedure, 'sfunc', a.aggtransfn, 'stype', a.aggtranstype::regtype,
                             'finalfunc', nullif(a.aggfinalfn::oid, 0)::regproc, 'combinefunc', nullif(a.aggcombinefn::oid, 0)::regproc,
                             'initcond', a.agginitval, 'kind', a.aggkind, 'parallel', f.proparallel)
              else pg_get_functiondef(f.oid) end
  from routine f left join pg_aggregate a on a.aggfnoid = f.oid
  where not exists (select from pg_depend i where i.classid = 'pg_proc'::regclass and i.objid = f.oid and i.deptype = 'i')
  union all
  select case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range' else 'type' end, t.nspname, t.typname, null,
         case t.typtype
           when 'e' then (select concat('(', string_agg(quote_literal(e.enumlabel), ',' || chr(31) order by e.enumsortorder), ')')
                          from pg_enum e where e.enumtypid = t.oid)
           when 'd' then concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                           case when t.typcollation <> b.typcollation then 'collate ' || t.typcollation::regcollation end,
                           'default ' || t.typdefault, case when t.typnotnull then 'not null' end)
           when 'r' then (select concat_ws(' ', 'subtype', g.rngsubtype::regtype, 'subtype_opclass', c.opcname,
                                    'collation ' || nullif(g.rngcollation, 0)::regcollation,
                                    'canonical', nullif(g.rngcanonical::oid, 0)::regproc, 'subtype_diff', nullif(g.rngsubdiff::oid, 0)::regproc)
                          from pg_range g join pg_opclass c on c.oid = g.rngsubopc where g.rngtypid = t.oid)
           else concat_ws(' ', t.typinput, t.typoutput, t.typlen, t.typalign, t.typstorage) end
  from kind t left join pg_type b on b.oid = t.typbasetype
  where t.typtype in ('d', 'e', 'r', 'b')
    and not exists (select from pg_type e where e.typarray = t.oid)`
