import { TenantryError } from '../kernel/errors.ts'
import type { Models } from '../models/port.ts'
import type { Session } from '../server/port.ts'

/** Runs create statements in the open transaction. @throws `schema-conflict` if an object is in the way */
export async function runScript(session: Session, statements: readonly string[]): Promise<void> {
  try {
    await session.script(statements)
  } catch (error) {
    throw error instanceof TenantryError ? explain(error, session) : error
  }
}

/** Makes all the models' tables in a database that was just created and is empty, in one transaction. */
export function makeTables(session: Session, models: Models<unknown>): Promise<void> {
  return session.transaction(async () => session.script(await models.createStatements()), {
    schema: models.defaultSchema,
  })
}

/** The error of created objects that differ from the models. */
export function verificationError(database: string, unmade: readonly string[]): TenantryError {
  return new TenantryError('verification-failed', `${database} does not match the models: ${unmade.join(', ')}.`, {
    hint: 'Nothing was created. Run ensureTables() and then checkDatabase() on an empty database of your own: they show what differs.',
  })
}

/** Integrity violations, other objects with that name, and references to missing or unsuitable objects. */
const conflict = /^(?:23...|42P01|42P06|42P07|42P16|42703|42710|42804|42809|42830)$/

function explain(error: TenantryError, { database }: Session): TenantryError {
  if (error.sqlState === undefined || !conflict.test(error.sqlState)) return error
  return new TenantryError('schema-conflict', `Missing objects in ${database} cannot be created: ${error.message}`, {
    cause: error.cause,
    sqlState: error.sqlState,
    hint: 'Nothing was created. Fix the data or the object that is in the way, then run it again.',
  })
}
