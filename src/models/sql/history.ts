import { TenantryError } from '../../kernel/errors.ts'
import type { SchemaSession } from '../port.ts'

/** A migration that a database has. */
export interface Applied {
  readonly name: string
  /** The SHA-256 of its text. */
  readonly checksum: string
}

// A comment and not a table: the roles of tenants may write to every table, and the owner alone writes this.
const schema = 'tenantry_migrations'

/** Returns the statements that record the migrations which a database has from now on. */
export function recordStatements(applied: readonly Applied[]): readonly string[] {
  const text = JSON.stringify(applied.map(({ name, checksum }) => [name, checksum]))
  return [
    `create schema if not exists ${schema}`,
    `comment on schema ${schema} is E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`,
  ]
}

/** Returns the migrations that a database has; undefined if it has no history. @throws `schema-conflict` */
export async function historyOf(session: SchemaSession): Promise<readonly Applied[] | undefined> {
  const { rows } = await session.query(
    `select pg_catalog.obj_description(oid, 'pg_namespace') as history
     from pg_catalog.pg_namespace where nspname = '${schema}'`,
  )
  const [row] = rows as readonly { readonly history: string | null }[]
  if (row === undefined) return undefined
  try {
    return (JSON.parse(row.history ?? '') as [string, string][]).map(([name, checksum]) => ({ name, checksum }))
  } catch (error) {
    throw new TenantryError('schema-conflict', `The comment of the schema ${schema} is no history of migrations.`, {
      cause: error,
      hint: 'Restore it from a database of the same version.',
    })
  }
}
