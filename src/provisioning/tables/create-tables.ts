import { explained, hasFailure, TenantryError } from '../../kernel/errors.ts'
import type { SchemaSource } from '../../models/port.ts'
import type { Change, GroupRoles, Session } from '../../server/port.ts'

/** Runs create statements in the open transaction. @throws `schema-conflict` if an object is in the way */
export async function creating(session: Session, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw error instanceof TenantryError ? explain(error, session) : error
  }
}

/** Makes all tables in a database that was just created and is empty, in one transaction. */
export function makeTables(session: Session, schema: SchemaSource): Promise<void> {
  return session.transaction(() => schema.create(session), { schema: schema.defaultSchema })
}

/** Returns the changes after which tenants' roles cannot write the tables of a migration tool. */
export function protectHistory(source: SchemaSource, groups: GroupRoles): readonly Change[] {
  return toolTables(source).map((at) => ({ change: 'make-read-only', ...at, groups }))
}

/** Returns the tables of a migration tool: its history, and its lock. */
export function toolTables({ history }: SchemaSource): readonly { readonly schema: string; readonly table: string }[] {
  if (history === undefined) return []
  const { schema, table, lockTable } = history
  return [table, ...(lockTable === undefined ? [] : [lockTable])].map((name) => ({ schema, table: name }))
}

/** Returns the statements that create a schema, without running them. @throws `models-invalid` */
export async function statementsOf(schema: SchemaSource): Promise<readonly string[]> {
  const statements: string[] = []
  await schema.create({
    script: async (some) => void statements.push(...some),
    query: async () => {
      throw new TenantryError('models-invalid', 'The schema cannot be compared: creating it takes a database.', {
        hint: 'Its create() uses query(): let it use script() alone.',
      })
    },
  })
  return statements
}

/** The error of created objects that differ from the models. */
export function verificationError(database: string, unmade: readonly string[]): TenantryError {
  return new TenantryError('verification-failed', `${database} does not match the models: ${unmade.join(', ')}.`, {
    hint: 'Nothing was created. On an empty database, ensureTables() and checkDatabase(), or "tenantry ensure" and "tenantry check", show what differs.',
  })
}

function explain(error: TenantryError, { database }: Session): TenantryError {
  if (!hasFailure(error, 'conflict', 'duplicate', 'missing-table', 'missing-column')) return error
  return explained(error, 'schema-conflict', `Missing objects in ${database} cannot be created: ${error.message}`, {
    hint: 'Nothing was created. Fix the data or the object that is in the way, then run it again.',
  })
}
