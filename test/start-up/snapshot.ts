import { queryIn } from './support.ts'

/**
 * Returns all objects of a database but Tenantry's own memory, one a line, as PostgreSQL itself describes them: to be
 * compared before and after. Each line has the OID, so that an object that was dropped and made again differs.
 */
export async function snapshot(database: string): Promise<string[]> {
  const rows = await queryIn<{ line: string }>(database, `${things.join(' union all ')} order by 1`)
  return rows.map(({ line }) => line)
}

const mine = `n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'tenantry_structure')`
const things = [
  `select format('schema %s %s %s', n.oid, n.nspname, n.nspacl) as line from pg_namespace n where ${mine}`,
  `select format('relation %s %s.%s %s %s %s %s', c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relfilenode, c.relacl)
   from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${mine}`,
  `select format('column %s %s.%s %s %s %s', a.attrelid, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                 a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
   from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
   left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where ${mine} and a.attnum > 0 and not a.attisdropped`,
  `select format('index %s %s', i.indexrelid, pg_get_indexdef(i.indexrelid))
   from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace where ${mine}`,
  `select format('constraint %s %s %s %s', o.oid, o.conrelid, o.conname, pg_get_constraintdef(o.oid))
   from pg_constraint o join pg_namespace n on n.oid = o.connamespace where ${mine}`,
  `select format('view %s %s', c.oid, pg_get_viewdef(c.oid))
   from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${mine} and c.relkind in ('v', 'm')`,
  `select format('function %s %s', f.oid, pg_get_functiondef(f.oid))
   from pg_proc f join pg_namespace n on n.oid = f.pronamespace where ${mine}`,
  `select format('type %s %s %s', t.oid, t.typname, array(select e.enumlabel from pg_enum e where e.enumtypid = t.oid order by e.enumsortorder))
   from pg_type t join pg_namespace n on n.oid = t.typnamespace where ${mine}`,
  `select format('trigger %s %s', t.oid, pg_get_triggerdef(t.oid))
   from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
   where ${mine} and not t.tgisinternal`,
  `select format('comment %s %s %s', d.objoid, d.objsubid, d.description)
   from pg_description d where d.objoid >= 16384
     and d.objoid not in (select oid from pg_namespace where nspname = 'tenantry_structure')`,
]
