import type { Comparison, DifferingObject, Models, SchemaObject } from '../models/port.ts'
import type { Session } from '../server/port.ts'
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
    if (found.createStatements.length === 0) return { created: [], ...pick(found) }
    const made = await createMissing(session, user, models, found)
    return { created: found.missing, existing: found.existing, differing: made.differing }
  })
}

/** Compares in a transaction of its own, so that all queries see one state, and no statement can write. */
export function look(session: Session, models: Models<unknown>): Promise<Comparison> {
  return session.transaction(() => models.compare(session), { isolation: 'repeatable read', readOnly: true })
}

function pick({ existing, differing }: Comparison) {
  return { existing, differing }
}
