/**
 * The first number that PostgreSQL gives to an object that it does not bring along itself
 * (https://www.postgresql.org/docs/current/system-catalog-initial-data.html, "OID Assignment").
 */
export const firstOwn = 16384

/**
 * The lists that all branches of the structure query read: the schemas in question, what extensions brought along, and
 * the relations, routines and types that are neither.
 *
 * @param schemas the condition on `n`, a row of `pg_namespace`
 */
export function listsSql(schemas: string): string {
  return `
  ours as materialized (
    select n.oid, n.nspname, n.nspowner, n.nspacl from pg_namespace n where ${schemas}
      and not exists (select from pg_depend e where e.classid = 'pg_namespace'::regclass and e.objid = n.oid and e.deptype = 'e')
  ), brought as materialized (
    select classid, objid from pg_depend where deptype = 'e' and objid >= ${firstOwn}
  ), relation as materialized (
    select c.*, o.nspname from pg_class c join ours o on o.oid = c.relnamespace
    left join brought b on b.classid = 'pg_class'::regclass and b.objid = c.oid
    where b.objid is null and c.oid >= ${firstOwn}
  ), routine as materialized (
    select f.oid, f.prokind, f.proparallel, f.proowner, f.proacl, o.nspname,
           format('%s(%s)', f.proname, pg_get_function_identity_arguments(f.oid)) as signature
    from pg_proc f join ours o on o.oid = f.pronamespace
    left join brought b on b.classid = 'pg_proc'::regclass and b.objid = f.oid
    where b.objid is null and f.oid >= ${firstOwn}
  ), kind as materialized (
    select t.*, o.nspname from pg_type t join ours o on o.oid = t.typnamespace
    left join brought b on b.classid = 'pg_type'::regclass and b.objid = t.oid
    where b.objid is null and t.oid >= ${firstOwn}
  ), sequence as materialized (
    select s.seqrelid as oid, p.refobjid as owner, p.refobjsubid as attnum,
           format('nextval(%L::regclass)', s.seqrelid::regclass) as call,
           case when p.deptype = 'i' or draws.refobjid is not null then p.deptype::text end as part,
           concat_ws(' ',
             case when s.seqtypid <> coalesce(a.atttypid, 'int8'::regtype) then 'as ' || s.seqtypid::regtype end,
             case when s.seqincrement <> 1 then 'increment by ' || s.seqincrement end,
             case when s.seqmin <> case when s.seqincrement > 0 then 1 else limits.least end then 'minvalue ' || s.seqmin end,
             case when s.seqmax <> case when s.seqincrement > 0 then limits.greatest else -1 end then 'maxvalue ' || s.seqmax end,
             case when s.seqstart <> case when s.seqincrement > 0 then s.seqmin else s.seqmax end then 'start with ' || s.seqstart end,
             case when s.seqcache <> 1 then 'cache ' || s.seqcache end,
             case when s.seqcycle then 'cycle' end,
             case when p.deptype = 'a' and draws.refobjid is null
                  then format('owned by %s.%I', p.refobjid::regclass, a.attname) end) as options
    from pg_sequence s join relation r on r.oid = s.seqrelid
    cross join lateral (select case s.seqtypid when 'int2'::regtype then 32767 when 'int4'::regtype then 2147483647
                                               else 9223372036854775807 end as greatest,
                               case s.seqtypid when 'int2'::regtype then -32768 when 'int4'::regtype then -2147483648
                                               else -9223372036854775808 end as least) limits
    left join pg_depend p on p.classid = 'pg_class'::regclass and p.objid = s.seqrelid and p.deptype in ('a', 'i')
      and p.refclassid = 'pg_class'::regclass and p.refobjsubid > 0
    left join pg_attribute a on a.attrelid = p.refobjid and a.attnum = p.refobjsubid
    left join (select distinct u.refobjid, d.adrelid, d.adnum from pg_attrdef d
               join pg_depend u on u.classid = 'pg_attrdef'::regclass and u.objid = d.oid and u.refclassid = 'pg_class'::regclass
              ) draws on draws.refobjid = s.seqrelid and draws.adrelid = p.refobjid and draws.adnum = p.refobjsubid
  ), domain as materialized (
    select oid, nspname, typname from kind where typtype = 'd'
  )`
}
