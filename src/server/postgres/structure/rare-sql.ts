import { firstOwn } from './lists-sql.ts'

/** The condition that an object of a catalog is neither PostgreSQL's own nor an extension's. */
function isOurs(catalog: string, row: string): string {
  return `${row}.oid >= ${firstOwn}
    and not exists (select from brought b where b.classid = '${catalog}'::regclass and b.objid = ${row}.oid)`
}

/**
 * The part of the structure query that words kinds of objects that few databases have, and that a schema contains. A
 * dictionary keeps the text of its options, with the names quoted as quote_all_identifiers was when it was made. The
 * backslashes are in an E string: the query is parsed before standard_conforming_strings is set.
 */
export const rareSql = `
  select 'operator', o.nspname,
         format('%s(%s, %s)', p.oprname, coalesce(nullif(p.oprleft, 0)::regtype::text, 'none'), p.oprright::regtype), null,
         concat_ws(' ', 'function ' || p.oprcode, 'commutator ' || nullif(p.oprcom, 0)::regoperator,
           'negator ' || nullif(p.oprnegate, 0)::regoperator, 'restrict ' || nullif(p.oprrest::oid, 0)::regproc,
           'join ' || nullif(p.oprjoin::oid, 0)::regproc, case when p.oprcanhash then 'hashes' end, case when p.oprcanmerge then 'merges' end)
  from pg_operator p join ours o on o.oid = p.oprnamespace where ${isOurs('pg_operator', 'p')}
  union all
  select 'operator family', o.nspname, format('%s using %s', f.opfname, m.amname), null, concat_ws(', ',
           (select string_agg(format('operator %s %s', a.amopstrategy, a.amopopr::regoperator), ', '
                   order by a.amopstrategy, a.amopopr::regoperator::text collate "C") from pg_amop a where a.amopfamily = f.oid),
           (select string_agg(format('function %s %s', a.amprocnum, a.amproc::regprocedure), ', '
                   order by a.amprocnum, a.amproc::regprocedure::text collate "C") from pg_amproc a where a.amprocfamily = f.oid))
  from pg_opfamily f join ours o on o.oid = f.opfnamespace join pg_am m on m.oid = f.opfmethod where ${isOurs('pg_opfamily', 'f')}
  union all
  select 'operator class', o.nspname, format('%s using %s', c.opcname, m.amname), null,
         concat_ws(' ', case when c.opcdefault then 'default' end, 'for type', c.opcintype::regtype, 'family', f.opfname,
           'storage ' || nullif(c.opckeytype, 0)::regtype)
  from pg_opclass c join ours o on o.oid = c.opcnamespace join pg_am m on m.oid = c.opcmethod join pg_opfamily f on f.oid = c.opcfamily
  where ${isOurs('pg_opclass', 'c')}
  union all
  select 'collation', o.nspname, c.collname, null,
         concat_ws(' ', 'provider', c.collprovider, 'collate ' || c.collcollate, 'ctype ' || c.collctype,
           'locale ' || coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale'), 'rules ' || (to_jsonb(c) ->> 'collicurules'),
           case when not c.collisdeterministic then 'not deterministic' end)
  from pg_collation c join ours o on o.oid = c.collnamespace where ${isOurs('pg_collation', 'c')}
  union all
  select 'conversion', o.nspname, c.conname, null,
         concat_ws(' ', case when c.condefault then 'default' end, 'for', pg_encoding_to_char(c.conforencoding), 'to',
           pg_encoding_to_char(c.contoencoding), 'from', c.conproc)
  from pg_conversion c join ours o on o.oid = c.connamespace where ${isOurs('pg_conversion', 'c')}
  union all
  select 'text search configuration', o.nspname, c.cfgname, null,
         concat_ws(' ', 'parser', s.nspname || '.' || p.prsname,
           (select string_agg(format('%s: %s', m.maptokentype, m.mapdict::regdictionary), ', ' order by m.maptokentype, m.mapseqno)
            from pg_ts_config_map m where m.mapcfg = c.oid))
  from pg_ts_config c join ours o on o.oid = c.cfgnamespace join pg_ts_parser p on p.oid = c.cfgparser
  join pg_namespace s on s.oid = p.prsnamespace where ${isOurs('pg_ts_config', 'c')}
  union all
  select 'text search dictionary', o.nspname, d.dictname, null,
         concat_ws(' ', 'template', s.nspname || '.' || t.tmplname,
           regexp_replace(d.dictinitoption, '(^|, )"([a-z_][a-z0-9_]*)" = ', E'\\\\1\\\\2 = ', 'g'))
  from pg_ts_dict d join ours o on o.oid = d.dictnamespace join pg_ts_template t on t.oid = d.dicttemplate
  join pg_namespace s on s.oid = t.tmplnamespace where ${isOurs('pg_ts_dict', 'd')}
  union all
  select 'text search parser', o.nspname, p.prsname, null, concat_ws(' ', p.prsstart, p.prstoken, p.prsend, p.prsheadline, p.prslextype)
  from pg_ts_parser p join ours o on o.oid = p.prsnamespace where ${isOurs('pg_ts_parser', 'p')}
  union all
  select 'text search template', o.nspname, t.tmplname, null, concat_ws(' ', t.tmplinit, t.tmpllexize)
  from pg_ts_template t join ours o on o.oid = t.tmplnamespace where ${isOurs('pg_ts_template', 't')}`

/** The part of the structure query that words objects that belong to a database as a whole, and to no schema. */
export const schemalessSql = `
  select 'cast', '', format('%s as %s', c.castsource::regtype, c.casttarget::regtype), null,
         concat_ws(' ', case c.castmethod when 'f' then 'function ' || c.castfunc::regprocedure when 'i' then 'inout' else 'binary' end,
           case c.castcontext when 'i' then 'implicit' when 'a' then 'assignment' else 'explicit' end)
  from pg_cast c where ${isOurs('pg_cast', 'c')}
    and not exists (select from pg_type t join pg_namespace n on n.oid = t.typnamespace
                    where t.oid in (c.castsource, c.casttarget) and n.nspname ~ '^pg_temp_' and n.oid <> pg_my_temp_schema())
  union all
  select 'publication', '', p.pubname, null,
         concat_ws(' ', case when p.puballtables then 'for all tables' end,
           concat_ws(', ', case when p.pubinsert then 'insert' end, case when p.pubupdate then 'update' end,
             case when p.pubdelete then 'delete' end, case when p.pubtruncate then 'truncate' end),
           case when p.pubviaroot then 'via root' end,
           (select string_agg(concat_ws(' ', r.prrelid::regclass,
              '(' || (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
                      where a.attrelid = r.prrelid and a.attnum = any(r.prattrs::int2[])) || ')',
              'where ' || pg_get_expr(r.prqual, r.prrelid)), ', ' order by s.nspname collate "C", c.relname collate "C")
            from pg_publication_rel r join pg_class c on c.oid = r.prrelid join pg_namespace s on s.oid = c.relnamespace
            where r.prpubid = p.oid),
           (select string_agg('schema ' || n.pnnspid::regnamespace, ', ' order by s.nspname collate "C")
            from pg_publication_namespace n join pg_namespace s on s.oid = n.pnnspid where n.pnpubid = p.oid))
  from pg_publication p where ${isOurs('pg_publication', 'p')}
  union all
  select 'subscription', '', s.subname, null,
         concat_ws(' ', 'publications', array_to_string(s.subpublications, ', '), 'slot ' || s.subslotname, case when not s.subenabled then '(disabled)' end)
  from pg_subscription s where s.subdbid = (select oid from pg_database where datname = current_database())
  union all
  select 'event trigger', '', t.evtname, null,
         concat_ws(' ', 'on', t.evtevent, 'when tag in (' || array_to_string(t.evttags, ', ') || ')', 'execute', t.evtfoid::regproc,
           case t.evtenabled when 'D' then '(disabled)' when 'R' then '(on replicas only)' when 'A' then '(always)' end)
  from pg_event_trigger t where ${isOurs('pg_event_trigger', 't')}
  union all
  select 'foreign data wrapper', '', w.fdwname, null,
         concat_ws(' ', 'handler ' || nullif(w.fdwhandler, 0)::regproc, 'validator ' || nullif(w.fdwvalidator, 0)::regproc,
           'options ' || array_to_string(w.fdwoptions, ', '))
  from pg_foreign_data_wrapper w where ${isOurs('pg_foreign_data_wrapper', 'w')}
  union all
  select 'foreign server', '', s.srvname, null,
         concat_ws(' ', 'type ' || s.srvtype, 'version ' || s.srvversion, 'wrapper ' || w.fdwname, 'options ' || array_to_string(s.srvoptions, ', '))
  from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw where ${isOurs('pg_foreign_server', 's')}
  union all
  select 'user mapping', '', format('%s on %s', m.usename, m.srvname), null, '' from pg_user_mappings m
  union all
  select 'language', '', l.lanname, null,
         concat_ws(' ', case when l.lanpltrusted then 'trusted' end, 'handler ' || nullif(l.lanplcallfoid, 0)::regproc,
           'inline ' || nullif(l.laninline, 0)::regproc, 'validator ' || nullif(l.lanvalidator, 0)::regproc)
  from pg_language l where ${isOurs('pg_language', 'l')}
  union all
  select 'transform', '', format('%s in %s', t.trftype::regtype, l.lanname), null,
         concat_ws(' ', 'from ' || nullif(t.trffromsql::oid, 0)::regprocedure, 'to ' || nullif(t.trftosql::oid, 0)::regprocedure)
  from pg_transform t join pg_language l on l.oid = t.trflang where ${isOurs('pg_transform', 't')}
  union all
  select 'access method', '', m.amname, null, concat_ws(' ', 'type', m.amtype, 'handler', m.amhandler)
  from pg_am m where ${isOurs('pg_am', 'm')}`

/** The catalogs of rare kinds whose objects always depend on something: on their schema, or on what they are made of. */
const rareCatalogs = [
  'pg_operator',
  'pg_opfamily',
  'pg_opclass',
  'pg_collation',
  'pg_conversion',
  'pg_ts_config',
  'pg_ts_dict',
  'pg_ts_parser',
  'pg_ts_template',
  'pg_transform',
  'pg_foreign_server',
  'pg_user_mapping',
]

/** Catalogs of rare kinds whose objects may depend on nothing. */
const looseCatalogs = [
  'pg_cast',
  'pg_publication',
  'pg_event_trigger',
  'pg_foreign_data_wrapper',
  'pg_language',
  'pg_am',
]

/**
 * The condition that a database has anything of a rare kind, by the dependencies: planning a look at each of their
 * catalogs takes longer than everything else on a new connection.
 */
export const hasRareSql = `
  exists (select from pg_depend d where d.classid in (${rareCatalogs.map((it) => `'${it}'::regclass`).join(', ')})
                 and d.objid >= ${firstOwn} and d.deptype <> 'e'
                 and not exists (select from pg_depend e where e.classid = d.classid and e.objid = d.objid and e.deptype = 'e'))
      or ${looseCatalogs.map((it) => `exists (select from ${it} where oid >= ${firstOwn})`).join(' or ')}
      or exists (select from pg_subscription s join pg_database b on b.oid = s.subdbid where b.datname = current_database())
`
