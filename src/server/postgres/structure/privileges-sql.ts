/**
 * The part of the structure query that words owners and grants. Their names say what they are of, their parent is the
 * object that this belongs to.
 */
export const privilegesSql = `
  select 'owner', h.schema, h.what, h.name, h.owner::regrole::text
  from (select 'schema' as what, nspname as schema, nspname as name, nspowner as owner from ours
        union all
        select 'relation', r.nspname, r.relname, r.relowner from relation r left join sequence s on s.oid = r.oid
        where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c', 'S') and s.part is null
        union all
        select 'function', nspname, signature, proowner from routine
        union all
        select 'type', nspname, typname, typowner from kind where typtype in ('d', 'e', 'r')) h
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
        select 'function', nspname, signature, proacl from routine
        union all
        select 'type', nspname, typname, typacl from kind
        union all
        select concat('default for ', case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                 when 'T' then 'types' else 'schemas' end, ' of ', d.defaclrole::regrole),
               coalesce(o.nspname, ''), coalesce(o.nspname, ''), d.defaclacl
        from pg_default_acl d left join ours o on o.oid = d.defaclnamespace where d.defaclnamespace = 0 or o.oid is not null
       ) g
  cross join aclexplode(g.acl) a
  group by g.schema, g.what, g.name, a.grantee`
