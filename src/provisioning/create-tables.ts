import { TenantryError } from '../kernel/errors.ts'
import type { Comparison, Models } from '../models/port.ts'
import type { Session } from '../server/port.ts'

/**
 * Creates what a comparison found missing, in the transaction that is open.
 *
 * @returns what the database has then
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
  // What the ORM still wants after it was done is a disagreement of the ORM with itself, not with the database.
  const unmet = differing.filter(({ statements }) => !statements.every((statement) => carriedOut.has(statement)))
  const wrong = [...missing, ...unmet].map(({ kind, name }) => `${kind} ${name}`)
  if (wrong.length === 0) return
  throw new TenantryError('verification-failed', `A new database does not match the models: ${wrong.join(', ')}.`, {
    hint: 'Run ensureTables() and then checkDatabase() on an empty database of your own: they show what differs.',
  })
}

/**
 * An ORM may word what it creates otherwise than what it then wants to see (a key that refers to its parent's table is
 * made with a sequence first, which is then one too many). On tables made in this very transaction, which nobody has
 * seen yet, such afterthoughts are carried out. What they want of a type is not: a type that differs was there before.
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

/** Runs statements that the work can do without: where one fails, all are taken back. */
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

/**
 * Integrity violations, objects of that name which are something else, references to what cannot be referred to or is
 * not there.
 */
const conflict = /^(?:23...|42P01|42P06|42P07|42P16|42703|42710|42804|42809|42830)$/

function explain(error: TenantryError, { database }: Session): TenantryError {
  if (error.sqlState === undefined || !conflict.test(error.sqlState)) return error
  return new TenantryError(
    'schema-conflict',
    `What the models lack in ${database} cannot be created: ${error.message}`,
    {
      cause: error.cause,
      sqlState: error.sqlState,
      hint: 'Nothing was created. Mend the data or the object that is in the way, then run it again.',
    },
  )
}
