/**
 * The part of the structure query that words comments, owners and grants. A comment's, owner's or grant's name says what
 * it is of, its parent is the object that this belongs to.
 */
export const privilegesSql = `
  select 'comment', c.schema, c.name, c.parent, d.description
  from pg_description d
  join (select 'pg_class'::regclass as classid, r.oid, 0 as part, r.nspname as schema, 'comment' as name, r.relname as parent
        from relation r where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c', 'S')
        union all
        select 'pg_class'::regclass, a.attrelid, a.attnum, r.nspname, 'column ' || a.attname, r.relname
        from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
        where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
        union all
        select 'pg_class'::regclass, i.indexrelid, 0, r.nspname, 'index ' || c.relname, r.relname
        from pg_index i join relation r on r.oid = i.indrelid join pg_class c on c.oid = i.indexrelid
        union all
        select 'pg_constraint'::regclass, k.oid, 0, coalesce(r.nspname, o.nspname), 'constraint ' || k.conname, coalesce(r.relname, o.typname)
        from pg_constraint k left join relation r on r.oid = k.conrelid left join domain o on o.oid = k.contypid
        where coalesce(r.oid, o.oid) is not null
        union all
        select 'pg_trigger'::regclass, t.oid, 0, r.nspname, 'trigger ' || t.tgname, r.relname
        from pg_trigger t join relation r on r.oid = t.tgrelid
        union all
        select 'pg_rewrite'::regclass, w.oid, 0, r.nspname, 'rule ' || w.rulename, r.relname
        from pg_rewrite w join relation r on r.oid = w.ev_class
        union all
        select 'pg_policy'::regclass, p.oid, 0, r.nspname, 'policy ' || p.polname, r.relname
        from pg_policy p join relation r on r.oid = p.polrelid
        union all
        select 'pg_proc'::regclass, f.oid, 0, o.nspname, 'comment', format('%s(%s)', f.proname, pg_get_function_identity_arguments(f.oid))
        from pg_proc f join ours o on o.oid = f.pronamespace
        left join brought b on b.classid = 'pg_proc'::regclass and b.objid = f.oid where b.objid is null
        union all
        select 'pg_type'::regclass, t.oid, 0, o.nspname, 'comment', t.typname
        from pg_type t join ours o on o.oid = t.typnamespace
        left join brought b on b.classid = 'pg_type'::regclass and b.objid = t.oid where b.objid is null and t.typrelid = 0
        union all
        select 'pg_namespace'::regclass, oid, 0, nspname, 'comment', nspname from ours
       ) c on c.classid = d.classoid and c.oid = d.objoid and c.part = d.objsubid
  where not (c.schema = 'public' and c.parent = 'public' and d.description = 'standard public schema')
  union all
  select 'owner', h.schema, h.what, h.name, h.owner::regrole::text
  from (select 'schema' as what, nspname as schema, nspname as name, nspowner as owner from ours
        union all
        select 'relation', r.nspname, r.relname, r.relowner from relation r left join sequence s on s.oid = r.oid
        where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c', 'S') and s.part is null
        union all
        select 'function', o.nspname, format('%s(%s)', f.proname, pg_get_function_identity_arguments(f.oid)), f.proowner
        from pg_proc f join ours o on o.oid = f.pronamespace
        left join brought b on b.classid = 'pg_proc'::regclass and b.objid = f.oid where b.objid is null
        union all
        select 'type', o.nspname, t.typname, t.typowner from pg_type t join ours o on o.oid = t.typnamespace
        left join brought b on b.classid = 'pg_type'::regclass and b.objid = t.oid
        where b.objid is null and t.typtype in ('d', 'e', 'r')) h
  union all
  select 'grant', g.schema, concat_ws(' ', g.what, 'to', case a.grantee when 0 then 'public' else a.grantee::regrole::text end), g.name,
         string_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end, ', ' order by a.privilege_type)
  from (select 'relation' as what, r.nspname as schema, r.relname as name, r.relacl as acl from relation r
        left join sequence s on s.oid = r.oid where s.part is null
        union all
        select 'own sequence', r.nspname, t.relname, r.relacl from relation r
        join sequence s on s.oid = r.oid and s.part is not null join pg_class t on t.oid = s.owner
        union all
        select 'schema', nspname, nspname, nspacl from ours
        union all
        select 'column ' || t.attname, r.nspname, r.relname, t.attacl
        from relation r join pg_attribute t on t.attrelid = r.oid and t.attnum > 0 and not t.attisdropped where t.attacl is not null
        union all
        select 'function', o.nspname, format('%s(%s)', f.proname, pg_get_function_identity_arguments(f.oid)), f.proacl
        from pg_proc f join ours o on o.oid = f.pronamespace
        left join brought b on b.classid = 'pg_proc'::regclass and b.objid = f.oid where b.objid is null
        union all
        select 'type', o.nspname, t.typname, t.typacl from pg_type t join ours o on o.oid = t.typnamespace
        left join brought b on b.classid = 'pg_type'::regclass and b.objid = t.oid where b.objid is null
        union all
        select concat('default for ', case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                 when 'T' then 'types' else 'schemas' end, ' of ', d.defaclrole::regrole),
               coalesce(o.nspname, ''), coalesce(o.nspname, ''), d.defaclacl
        from pg_default_acl d left join ours o on o.oid = d.defaclnamespace where d.defaclnamespace = 0 or o.oid is not null
       ) g
  cross join aclexplode(g.acl) a
  group by g.schema, g.what, g.name, a.grantee`
