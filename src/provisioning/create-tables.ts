import { TenantryError } from '../kernel/errors.ts'
import type { Comparison, Models } from '../models/port.ts'
import type { Session } from '../server/port.ts'

/**
 * Creates the missing parts of a comparison, in the open transaction.
 *
 * @returns the resulting state of the database
 */
export async function createMissing(
  session: Session,
  models: Models<unknown>,
  { createStatements, missing }: Comparison,
): Promise<Comparison> {
  try {
    await session.script(createStatements)
  } catch (error) {
    throw error instanceof TenantryError ? explain(error, session) : error
  }
  const made = new Set(missing.flatMap(({ kind, name }) => (kind === 'table' ? [name] : [])))
  return settle(session, models, ({ kind, name }) => kind === 'table' && made.has(name))
}

/**
 * Makes all the models' tables in a database that was just created and is empty, in one transaction, and verifies them.
 *
 * @throws `verification-failed`
 */
export function makeTables(session: Session, models: Models<unknown>): Promise<void> {
  return session.transaction(() => makeAndVerify(session, models), { schema: models.defaultSchema })
}

async function makeAndVerify(session: Session, models: Models<unknown>): Promise<void> {
  await session.script(await models.createStatements())
  const carriedOut = new Set<string>()
  const { missing, differing } = await settle(session, models, ({ statements }) => {
    for (const statement of statements) carriedOut.add(statement)
    return true
  })
  // A statement that the ORM still generates after it was carried out contradicts the ORM itself, not the database.
  const unmet = differing.filter(({ statements }) => !statements.every((statement) => carriedOut.has(statement)))
  const wrong = [...missing, ...unmet].map(({ kind, name }) => `${kind} ${name}`)
  if (wrong.length === 0) return
  throw new TenantryError('verification-failed', `A new database does not match the models: ${wrong.join(', ')}.`, {
    hint: 'Run ensureTables() and then checkDatabase() on an empty database of your own: they show what differs.',
  })
}

/**
 * Carries out the ORM's corrections. An ORM may create a table otherwise than it then expects it (a key that refers to
 * its parent's table is made with a sequence first, which is then one too many). On tables made in this very
 * transaction, which no other session has seen yet, such corrections are carried out. Corrections of a type are not: a
 * type that differs existed before.
 */
async function settle(
  session: Session,
  models: Models<unknown>,
  isNew: (object: Comparison['differing'][number]) => boolean,
): Promise<Comparison> {
  const found = await models.compare(session)
  const afterthoughts = found.differing
    .filter(isNew)
    .flatMap(({ statements }) => statements)
    .filter((statement) => !/^alter type\b/i.test(statement))
  if (afterthoughts.length === 0) return found
  return (await tried(session, afterthoughts)) ? models.compare(session) : found
}

/** Runs optional statements: if one fails, all are rolled back. */
async function tried(session: Session, statements: readonly string[]): Promise<boolean> {
  await session.query('savepoint afterthoughts')
  try {
    await session.script([...statements, 'release afterthoughts'])
    return true
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code !== 'query-failed') throw error
    await session.query('rollback to afterthoughts')
    return false
  }
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
