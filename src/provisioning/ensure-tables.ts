import { TenantryError } from '../kernel/errors.ts'
import type { Comparison, DifferingObject, Models, SchemaObject } from '../models/port.ts'
import type { Session } from '../server/port.ts'

/** What came of ensuring the tables of some models in a database. */
export interface EnsuredTables {
  /** What this very call created. */
  readonly created: readonly SchemaObject[]
  /** What was there already, as the models declare it. */
  readonly existing: readonly SchemaObject[]
  /** What was there already and is not as the models declare it; it was not touched. */
  readonly differing: readonly DifferingObject[]
}

const lockName = 'schema'

/**
 * Creates what is missing in the session's database, never altering or dropping what is there.
 *
 * It looks first, without a lock: where nothing is missing, nothing is written and no privilege but to read is needed.
 * Otherwise it looks again under a lock of that database and creates, in the one transaction that holds the lock.
 */
export async function ensureTablesIn(
  session: Session,
  user: string,
  models: Models<unknown>,
  lockTimeoutMs: number,
): Promise<EnsuredTables> {
  const seen = await look(session, models)
  if (seen.createStatements.length === 0) return { created: [], ...pick(seen) }
  return session.transaction(async () => {
    await session.lock(lockName, 'transaction', lockTimeoutMs)
    const found = await models.compare(session)
    await create(session, user, found)
    return { created: found.missing, ...pick(found) }
  })
}

/** Compares in a transaction of its own, so that all queries see one state, and no statement can write. */
export function look(session: Session, models: Models<unknown>): Promise<Comparison> {
  return session.transaction(() => models.compare(session), { isolation: 'repeatable read', readOnly: true })
}

function pick({ existing, differing }: Comparison) {
  return { existing, differing }
}

async function create(session: Session, user: string, { createStatements, missing }: Comparison): Promise<void> {
  try {
    await session.script(createStatements)
  } catch (error) {
    throw error instanceof TenantryError ? explain(error, session, user, missing) : error
  }
}

/** Integrity violations, objects of that name which are something else, references to what cannot be referred to. */
const conflict = /^(?:23...|42P07|42P16|42710|42804|42809|42830|42P06)$/

function explain(
  error: TenantryError,
  { database }: Session,
  user: string,
  missing: readonly SchemaObject[],
): TenantryError {
  const details = { cause: error.cause, sqlState: error.sqlState }
  if (error.code === 'permission-denied') {
    const makesSchema = missing.some(({ kind }) => kind === 'schema')
    const where = makesSchema ? `DATABASE ${quoted(database)}` : 'SCHEMA public'
    return new TenantryError('permission-denied', `${user} may not create tables in ${database}: ${error.message}`, {
      ...details,
      hint: `As the owner of the database: GRANT CREATE ON ${where} TO ${quoted(user)};`,
    })
  }
  if (error.sqlState === undefined || !conflict.test(error.sqlState)) return error
  return new TenantryError(
    'schema-conflict',
    `What the models lack in ${database} cannot be created: ${error.message}`,
    {
      ...details,
      hint: 'Nothing was created. Mend the data or the object that is in the way, then run it again.',
    },
  )
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
