import { TenantryError } from '../../../kernel/errors.ts'
import type { Structure, StructureKind } from '../../../structure/structure-object.ts'
import type { ReadingSession, ReadOptions, ReadStructure } from '../../structure.ts'
import type { WrongPrivileges } from '../../wrong-privileges.ts'
import { ownNames } from '../client.ts'
import { quoteLiteral } from '../quoting.ts'
import { wrongPrivilegesQuery } from '../relation-privileges.ts'
import { commentsSql } from './comments-sql.ts'
import { listsSql } from './lists-sql.ts'
import { othersSql } from './others-sql.ts'
import { privilegesSql } from './privileges-sql.ts'
import { hasRareSql, rareSql, schemalessSql } from './rare-sql.ts'
import { relationsSql } from './relations-sql.ts'

/** The schema whose comment holds what was remembered of desired structures. It is no part of a database's structure. */
export const memorySchema = 'tenantry_structure'

/**
 * Settings that decide how PostgreSQL words a definition, as pg_dump fixes them
 * (https://www.postgresql.org/docs/current/runtime-config-client.html). They last until the end of the transaction.
 */
export const fixedSettings: readonly string[] = [
  `set local search_path = ${ownNames}`,
  `set local timezone = 'UTC'`,
  `set local datestyle = 'ISO, YMD'`,
  `set local intervalstyle = 'postgres'`,
  'set local extra_float_digits = 1',
  `set local bytea_output = 'hex'`,
  `set local lc_monetary = 'C'`,
  'set local quote_all_identifiers = off',
  'set local standard_conforming_strings = on',
  'set local jit = off',
]

/** A row of the structure query. */
interface Row {
  readonly kind: StructureKind
  readonly schema: string
  readonly name: string
  readonly parent: string | null
  readonly definition: string
}

/** The branches of the structure query for what nearly every database has. */
export const usualSql: readonly string[] = [othersSql, relationsSql, commentsSql]

/** The row about a database. */
interface About {
  readonly version: number
  readonly memory: string | null
  readonly hasRare: boolean
}

/**
 * The query of some branches, which word a database, or what is in the schemas of a condition on `n`, a row of
 * `pg_namespace`. Each branch takes time to plan.
 */
export function structureSql(schemas: string, branches: readonly string[]): string {
  return `with ${listsSql(schemas)}, line (kind, schema, name, parent, definition) as (${branches.join('\n union all')})
    select kind, schema::text, name::text, parent::text, definition from line
    order by schema collate "C", parent collate "C" nulls first, kind collate "C", name collate "C"`
}

/** The condition that leaves out what is PostgreSQL's own, and ours. */
const ownSchemas = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> '${memorySchema}'`

/**
 * Reads the structure of the session's database, in one round trip; in two where it has objects of rare kinds. No
 * definition depends on the settings of the session, its role or its database; no privilege is needed but to connect.
 */
export async function readStructure(
  session: ReadingSession,
  { where, usedBy, privileges }: ReadOptions = {},
): Promise<ReadStructure> {
  const isOpen = where === 'transaction'
  const reading = (queries: readonly string[]) =>
    sendAll(session, [
      isOpen ? 'savepoint reading' : 'set transaction isolation level repeatable read, read only',
      ...fixedSettings,
      ...queries,
      ...(isOpen ? ['rollback to reading', 'release reading'] : []),
    ])
  const [rows, about, wrong] = await reading([
    structureSql(ownSchemas, privileges === true ? [...usualSql, privilegesSql] : usualSql),
    `select current_setting('server_version_num')::int / 10000 as version,
            (select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = ${quoteLiteral(memorySchema)}) as memory,
            (${hasRareSql}) as "hasRare"`,
    ...(usedBy === undefined ? [] : [wrongPrivilegesQuery(usedBy)]),
  ])
  const { version, memory, hasRare } = (about?.rows[0] ?? {}) as Partial<About>
  if (rows === undefined || version === undefined) throw unread(session)
  const [rare] = hasRare === true ? await reading([structureSql(ownSchemas, [rareSql, schemalessSql])]) : []
  return {
    structure: [...toStructure(rows.rows), ...toStructure(rare?.rows ?? [])],
    majorVersion: version,
    memory: memory ?? undefined,
    wrongPrivileges: (wrong?.rows ?? []) as readonly WrongPrivileges[],
  }
}

/** The rows of one of several statements. */
interface Results {
  readonly command: string
  readonly rows: readonly object[]
}

/** Sends statements in one round trip, which is one transaction. @returns the results of those that return rows */
export async function sendAll(session: ReadingSession, statements: readonly string[]): Promise<readonly Results[]> {
  // A simple query of several statements has a result for each.
  const results: unknown = await session.query(statements.map((it) => `${it.replace(/;\s*$/, '')}\n;`).join('\n'))
  return (results as readonly Results[]).filter(({ command }) => command === 'SELECT')
}

/** The rows of the structure query as objects. */
export function toStructure(rows: readonly object[]): Structure {
  return (rows as readonly Row[]).map(({ parent, ...row }) => (parent === null ? row : { ...row, parent }))
}

function unread({ database }: ReadingSession): TenantryError {
  return new TenantryError('query-failed', `The structure of ${database} could not be read.`)
}
