import { TenantryError } from '../../../kernel/errors.ts'
import type { Structure, StructureKind } from '../../../structure/structure-object.ts'
import type { ReadingSession, ReadOptions, ReadStructure } from '../../structure.ts'
import { ownNames } from '../client.ts'
import { quoteLiteral } from '../quoting.ts'
import { commentsSql } from './comments-sql.ts'
import { listsSql } from './lists-sql.ts'
import { othersSql } from './others-sql.ts'
import { privilegesSql } from './privileges-sql.ts'
import { rareSql, schemalessSql } from './rare-sql.ts'
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

/** The parts of a database that the structure query words besides what is in its schemas. Planning each takes its time. */
interface Besides {
  readonly schemaless?: boolean | undefined
  readonly privileges?: boolean | undefined
}

/** The query that words everything in the schemas of a condition on `n`, a row of `pg_namespace`. */
export function structureSql(schemas: string, { schemaless = false, privileges = false }: Besides = {}): string {
  const besides = [...(schemaless ? [schemalessSql] : []), ...(privileges ? [privilegesSql] : [])]
  const branches = [othersSql, relationsSql, commentsSql, rareSql, ...besides]
  return `with ${listsSql(schemas)}, line (kind, schema, name, parent, definition) as (${branches.join('\n union all')})
    select kind, schema::text, name::text, parent::text, definition from line
    order by schema collate "C", parent collate "C" nulls first, kind collate "C", name collate "C"`
}

/** The condition that leaves out what is PostgreSQL's own, and ours. */
const ownSchemas = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> '${memorySchema}'`

/**
 * Reads the structure of the session's database, in one round trip. No definition depends on the settings of the session,
 * its role or its database; no privilege is needed but to connect.
 */
export async function readStructure(
  session: ReadingSession,
  { where, also, privileges }: ReadOptions = {},
): Promise<ReadStructure> {
  const isOpen = where === 'transaction'
  const [rows, about, others] = await sendAll(session, [
    isOpen ? 'savepoint reading' : 'set transaction isolation level repeatable read, read only',
    ...fixedSettings,
    structureSql(ownSchemas, { schemaless: true, privileges }),
    `select current_setting('server_version_num')::int / 10000 as version,
            (select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = ${quoteLiteral(memorySchema)}) as memory`,
    ...(also === undefined ? [] : [also]),
    ...(isOpen ? ['rollback to reading', 'release reading'] : []),
  ])
  const { version, memory } = (about?.rows[0] ?? {}) as { version?: number; memory?: string | null }
  if (rows === undefined || version === undefined) throw unread(session)
  return {
    structure: toStructure(rows.rows),
    majorVersion: version,
    memory: memory ?? undefined,
    also: others?.rows ?? [],
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
