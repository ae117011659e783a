import type { Observation, ObservedKind, RelationName } from '../../observation.ts'
import type { Session } from '../../session.ts'
import type { ObserveOptions } from '../../structure.ts'

/**
 * Runs a statement in a transaction of its own, and compares the system catalogs before and after: by the numbers of
 * relations and columns, so that a rename, a CASCADE and dynamic SQL show as what they are. Empty tables give the same
 * locks, rewrites and scans as full ones.
 */
export async function observeStatement(
  session: Session,
  statement: string,
  { schema, role }: ObserveOptions,
): Promise<Observation> {
  return session.transaction(
    async () => {
      const before = await look(session)
      await session.script([statement], { role })
      return compare(before, await look(session))
    },
    { schema, timeZone: 'UTC' },
  )
}

/** A relation with its columns, at one moment of a transaction. */
interface Relation {
  readonly oid: string
  readonly kind: string
  readonly name: RelationName
  /** The number of its file; null without one. */
  readonly file: string | null
  /** The scans of this transaction so far. */
  readonly scans: string
  /** The modes of the locks that the transaction holds. */
  readonly locks: readonly string[]
  readonly columns: Readonly<Record<string, string>>
}

async function look(session: Session): Promise<ReadonlyMap<string, Relation>> {
  const { rows } = await session.query<Relation>(relationsSql)
  return new Map(rows.map((row) => [row.oid, row]))
}

const relationsSql = `
  select c.oid::text as oid, c.relkind as kind, n.nspname || '.' || c.relname as name,
         pg_catalog.pg_relation_filenode(c.oid)::text as file,
         coalesce(pg_catalog.pg_stat_get_xact_numscans(c.oid), 0) as scans,
         array(select l.mode from pg_catalog.pg_locks l
               where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.relation = c.oid
                 and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
              ) as locks,
         coalesce((select pg_catalog.jsonb_object_agg(a.attnum, a.attname) from pg_catalog.pg_attribute a
                   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '{}') as columns
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  order by n.nspname, c.relname`

const kinds: Readonly<Record<string, ObservedKind>> = {
  r: 'table',
  p: 'table',
  v: 'view',
  m: 'materialized view',
  S: 'sequence',
  f: 'foreign table',
}

/** Lock modes from the weakest to the strongest: https://www.postgresql.org/docs/current/explicit-locking.html */
const modes = [
  'AccessShareLock',
  'RowShareLock',
  'RowExclusiveLock',
  'ShareUpdateExclusiveLock',
  'ShareLock',
  'ShareRowExclusiveLock',
  'ExclusiveLock',
  'AccessExclusiveLock',
]

function compare(before: ReadonlyMap<string, Relation>, after: ReadonlyMap<string, Relation>): Observation {
  const pairs = [...before.values()].map((old) => ({ old, now: after.get(old.oid) }))
  const kept = pairs.flatMap(({ old, now }) => (now === undefined ? [] : [{ old, now }]))
  const hasRows = ({ kind }: Relation) => kind !== 'v' && kind !== 'S'
  const tables = kept.filter(({ old }) => hasRows(old))
  const nameOf = ({ old }: { readonly old: Relation }) => old.name
  return {
    locks: pairs.flatMap(({ old, now }) => {
      const mode = now === undefined ? 'AccessExclusiveLock' : strongest(now.locks)
      return hasRows(old) && mode !== undefined ? [{ table: old.name, mode }] : []
    }),
    rewritten: tables.filter(({ old, now }) => old.file !== now.file).map(nameOf),
    scanned: tables.filter(({ old, now }) => Number(now.scans) > Number(old.scans)).map(nameOf),
    written: tables.filter(({ now }) => now.locks.includes('RowExclusiveLock')).map(nameOf),
    dropped: [
      ...pairs.flatMap(({ old, now }) => (now === undefined ? [{ kind: kindOf(old), name: old.name }] : [])),
      ...kept.flatMap(({ old, now }) =>
        Object.entries(old.columns)
          .filter(([number]) => !(number in now.columns))
          .map(([, column]) => ({ kind: 'column' as const, name: `${old.name}.${column}` })),
      ),
    ],
    renamed: [
      ...kept
        .filter(({ old, now }) => old.name !== now.name)
        .map(({ old, now }) => ({ kind: kindOf(old), from: old.name, to: now.name })),
      ...kept.flatMap(({ old, now }) =>
        Object.entries(old.columns).flatMap(([number, column]) => {
          const current = now.columns[number]
          const isRenamed = current !== undefined && current !== column
          const to = `${now.name}.${current}`
          return isRenamed ? [{ kind: 'column' as const, from: `${old.name}.${column}`, to }] : []
        }),
      ),
    ],
  }
}

function kindOf({ kind }: Relation): ObservedKind {
  return kinds[kind] ?? 'table'
}

/** The name of the strongest lock, as PostgreSQL's documentation writes it; undefined without any. */
function strongest(locks: readonly string[]): string | undefined {
  const mode = modes.findLast((it) => locks.includes(it))
  return mode
    ?.replace(/Lock$/, '')
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toUpperCase()
}
