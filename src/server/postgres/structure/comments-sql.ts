import { firstOwn } from './lists-sql.ts'

/**
 * The part of the structure query that words comments. A comment's name says what it is on, its parent is the object that
 * this belongs to.
 */
export const commentsSql = `
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
        select 'pg_proc'::regclass, oid, 0, nspname, 'comment', signature from routine
        union all
        select 'pg_type'::regclass, oid, 0, nspname, 'comment', typname from kind where typrelid = 0
        union all
        select 'pg_namespace'::regclass, oid, 0, nspname, 'comment', nspname from ours
       ) c on c.classid = d.classoid and c.oid = d.objoid and c.part = d.objsubid
  where (d.objoid >= ${firstOwn} or d.objoid = to_regnamespace('public'))
    and not (c.schema = 'public' and c.parent = 'public' and d.description = 'standard public schema')`
