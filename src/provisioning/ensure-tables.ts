import { TenantryError } from '../kernel/errors.ts'
import type { Comparison, DifferingObject, Models, SchemaObject } from '../models/port.ts'
import type { Creation, Session } from '../server/port.ts'
import { createMissing } from './create-tables.ts'

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
 * It looks first, without a lock: where nothing is missing, nothing is written and no privilege but to connect is needed.
 * Otherwise it looks again under a lock of that database and creates, in the one transaction that holds the lock.
 */
export async function ensureTablesIn(
  session: Session,
  models: Models<unknown>,
  lockTimeoutMs: number,
): Promise<EnsuredTables> {
  const seen = await look(session, models)
  if (seen.createStatements.length === 0) return { created: [], ...pick(seen) }
  try {
    return await session.transaction(() => createUnderLock(session, models, lockTimeoutMs), {
      schema: models.defaultSchema,
    })
  } catch (error) {
    const isDenied = error instanceof TenantryError && error.code === 'permission-denied'
    throw isDenied ? await deniedError(error, session, models) : error
  }
}

async function createUnderLock(
  session: Session,
  models: Models<unknown>,
  lockTimeoutMs: number,
): Promise<EnsuredTables> {
  await session.lock(lockName, 'transaction', lockTimeoutMs)
  const found = await models.compare(session)
  if (found.createStatements.length === 0) return { created: [], ...pick(found) }
  const made = await createMissing(session, models, found)
  return { created: found.missing, existing: found.existing, differing: made.differing }
}

/** Compares in a transaction of its own, so that all queries see one state, and no statement can write. */
export function look(session: Session, models: Models<unknown>): Promise<Comparison> {
  const options = { isolation: 'repeatable read', readOnly: true, schema: models.defaultSchema } as const
  return session.transaction(() => models.compare(session), options)
}

function pick({ existing, differing }: Comparison) {
  return { existing, differing }
}

/** Finds out which privileges are missing, rather than reading one from a message that may be in any language. */
async function deniedError(error: TenantryError, session: Session, models: Models<unknown>): Promise<TenantryError> {
  const grants = await session.missingGrants(creationOf(await look(session, models)))
  const hint =
    grants.length > 0
      ? `As a superuser, or a role that may grant it: ${grants.join(' ')}`
      : 'Connect as the owner of the object that the error names.'
  const message = `${session.user} may not create what the models lack in ${session.database}: ${error.message}`
  return new TenantryError('permission-denied', message, { cause: error.cause, sqlState: error.sqlState, hint })
}

function creationOf({ missing, existing, differing, createStatements }: Comparison): Creation {
  const parts = missing.filter(({ kind }) => kind === 'index' || kind === 'foreign key')
  const wholes = missing.filter((object) => object.kind !== 'schema' && !parts.includes(object))
  const present = [...existing, ...differing].filter(({ kind }) => kind === 'table').map(({ name }) => name)
  const references = createStatements.filter((statement) => /references/i.test(statement))
  return {
    newSchemas: missing.filter(({ kind }) => kind === 'schema').map(({ name }) => name),
    schemas: wholes.map(({ name }) => (name.includes('.') ? name.slice(0, name.indexOf('.')) : 'public')),
    altered: parts.map(({ name }) => name.slice(0, name.lastIndexOf('.'))),
    referenced: present.filter((name) => {
      const table = name.slice(name.indexOf('.') + 1)
      return references.some((statement) => statement.includes(`"${table}"`))
    }),
  }
}
