import { explained, hasCode, TenantryError } from '../../kernel/errors.ts'
import type { Identifier } from '../../kernel/names.ts'
import type { Creation, Session } from '../../server/port.ts'
import type { ReadStructure } from '../../server/structure.ts'
import { compareStructures } from '../../structure/compare.ts'
import { type Comparison, type DifferingObject, named, type SchemaObject } from '../../structure/comparison.ts'
import { keyOf, type Structure } from '../../structure/structure-object.ts'
import {
  type Compared,
  isBlank,
  isEmpty,
  learn,
  type Look,
  lookAt,
  reported,
  scriptOf,
  wordedLike,
} from '../tables/compare-database.ts'
import { creating, verificationError } from '../tables/create-tables.ts'
import { memorize } from '../tables/structure-memory.ts'

/** The outcome of ensuring the tables of some models in a database. */
export interface EnsuredTables {
  /** Objects that this call created. */
  readonly created: readonly SchemaObject[]
  /** Objects that existed and equal the models. */
  readonly existing: readonly SchemaObject[]
  /** Objects that existed and differ from the models; they were not changed. */
  readonly differing: readonly DifferingObject[]
  /**
   * Present where the existing objects could not be compared, only found by their names: what the role lacks. A start by a
   * role with CREATE on the database compares them, and remembers there what it needs to know for all others.
   */
  readonly unverified?: string
}

/** The options of {@link ensureTablesIn}. */
export interface EnsureLimits {
  readonly lockTimeoutMs: number
  readonly extensions: readonly Identifier[]
}

const lockName = 'schema'

/** The number of times that another process may change the tables between the look and the lock. */
const attempts = 3

/**
 * Creates what is missing in the session's database, never altering or dropping what exists.
 *
 * It looks first, without a lock: where nothing is missing, no privilege but to connect is needed. Otherwise it looks
 * again under a lock of that database and creates, in the one transaction that holds the lock.
 */
export async function ensureTablesIn(
  session: Session,
  compared: Compared,
  { lockTimeoutMs, extensions }: EnsureLimits,
): Promise<EnsuredTables> {
  const added = extensions.length === 0 ? [] : await addExtensions(session, compared, { lockTimeoutMs, extensions })
  const migrated = await applyPending(session, compared, lockTimeoutMs)
  if (migrated === 'newer') return { created: added, ...(await existingObjects(session, compared)) }
  const { created, existing, ...others } = await ensureObjects(session, compared, lockTimeoutMs)
  const isNew = new Set(migrated.map(({ kind, name }) => `${kind} ${name}`))
  return {
    created: [...added, ...migrated, ...created],
    existing: existing.filter(({ kind, name }) => !isNew.has(`${kind} ${name}`)),
    ...others,
  }
}

/**
 * Reports on a database that a newer process has migrated, and creates nothing: what it lacks, that process has dropped.
 * During a deployment the older processes start as well.
 */
async function existingObjects(session: Session, compared: Compared): Promise<Omit<EnsuredTables, 'created'>> {
  const seen = await lookAt(session, compared)
  return { ...pick(reported(seen, compared.schema)), ...unverified(seen) }
}

/**
 * Applies the migrations that a database lacks by its history, all in one transaction.
 *
 * @returns the objects that they created; none in a database without a history, which is made as a whole; `newer` if a
 *   newer process has migrated it
 * @throws `schema-conflict` for a database that has objects, and no history or that of other migrations
 */
async function applyPending(
  session: Session,
  compared: Compared,
  lockTimeoutMs: number,
): Promise<readonly SchemaObject[] | 'newer'> {
  const { server, schema } = compared
  if (schema.pending === undefined) return []
  const seen = await schema.pending(session)
  if (seen === 'newer') return seen
  if (seen?.length === 0) return []
  if (seen === undefined) {
    if (isEmpty(await server.structures.read(session))) return []
    // Another process may have made everything since the first look.
    if ((await schema.pending(session)) === undefined) throw historyError(session.database)
  }
  // Statements that must not run are found before the first one runs.
  await scriptOf(compared)
  return session.transaction(
    async () => {
      await session.lock(lockName, 'transaction', lockTimeoutMs)
      const before = await server.structures.read(session, { where: 'transaction' })
      const changes = await schema.pending?.(session)
      if (changes === 'newer') return changes
      for (const change of changes ?? []) await creating(session, () => change.apply(session))
      const after = await server.structures.read(session, { where: 'transaction' })
      return newIn(after.structure, before.structure).map((object) => named(object, schema.defaultSchema))
    },
    { schema: schema.defaultSchema },
  )
}

function newIn(after: Structure, before: Structure): Structure {
  const known = new Set(before.map(keyOf))
  return after.filter((object) => object.parent === undefined && !known.has(keyOf(object)))
}

function historyError(database: string): TenantryError {
  return new TenantryError('schema-conflict', `${database} has objects, and no history of migrations.`, {
    hint: 'No table was changed. Let ensureTables() make the tables of an empty database, which has a history from then on.',
  })
}

/**
 * Creates the extensions that are missing, before anything is compared: what the models make is built with them.
 *
 * @throws `permission-denied` with the statements that a superuser has to run
 */
async function addExtensions(
  session: Session,
  { server }: Compared,
  { lockTimeoutMs, extensions }: EnsureLimits,
): Promise<readonly SchemaObject[]> {
  const { structure } = await server.structures.read(session, { where: 'alone' })
  const present = new Set(structure.flatMap(({ kind, name }) => (kind === 'extension' ? [name] : [])))
  const missing = extensions.filter((name) => !present.has(name))
  if (missing.length === 0) return []
  try {
    await session.transaction(async () => {
      await session.lock(lockName, 'transaction', lockTimeoutMs)
      await server.apply(
        session,
        missing.map((name) => ({ change: 'add-extension', name })),
      )
    })
  } catch (error) {
    if (!hasCode(error, 'permission-denied')) throw error
    throw explained(error, 'permission-denied', error.message, {
      hint: `As a superuser: ${missing.map((name) => `CREATE EXTENSION "${name.replaceAll('"', '""')}";`).join(' ')}`,
    })
  }
  return missing.map((name) => ({ kind: 'extension', name }))
}

async function ensureObjects(session: Session, compared: Compared, lockTimeoutMs: number): Promise<EnsuredTables> {
  for (let attempt = 1; ; attempt++) {
    const live = await compared.server.structures.read(session, { where: 'alone' })
    // Of many starts at once on an empty database, only the one that creates has to parse the statements.
    if (attempt > 1 || !isBlank(session, compared, live)) {
      const seen = await lookAt(session, compared, 'alone', live)
      if (seen.plan.statements.length === 0) {
        if (seen.isNew) await rememberIfAllowed(session, compared, seen)
        return { created: [], ...pick(reported(seen, compared.schema)), ...unverified(seen) }
      }
    }
    const made = await inTransaction(session, compared, lockTimeoutMs, attempt === attempts)
    if (made !== undefined) return made
  }
}

/** @returns undefined where what the models make has to be built first, and `isLast` is false */
async function inTransaction(session: Session, compared: Compared, lockTimeoutMs: number, isLast: boolean) {
  let denied: Look | undefined
  try {
    return await session.transaction(
      async () => {
        await session.lock(lockName, 'transaction', lockTimeoutMs)
        const found = await lookAt(session, compared, 'transaction')
        denied = found
        const mayBuild = !found.isKnown && found.isFresh !== true && !isLast
        return mayBuild ? undefined : createMissing(session, compared, found)
      },
      { schema: compared.schema.defaultSchema },
    )
  } catch (error) {
    const isDenied = hasCode(error, 'permission-denied')
    throw isDenied && denied !== undefined ? await tablesDeniedError(error, session, denied) : error
  }
}

async function createMissing(session: Session, compared: Compared, found: Look): Promise<EnsuredTables> {
  const { missing, existing } = reported(found, compared.schema)
  if (found.plan.statements.length === 0)
    return { created: [], ...pick(reported(found, compared.schema)), ...unverified(found) }
  await creating(session, () => runPlan(session, compared, found))
  const live = await compared.server.structures.read(session, { where: 'transaction' })
  const built = found.isFresh === true ? await learn(session, compared, live) : found.built
  if (built === undefined) return { created: missing, existing, differing: [], ...unverified(found) }
  const desired = wordedLike(live.structure, built, compared.schema.defaultSchema)
  const differences = compareStructures(desired, live.structure)
  const plan = { statements: [], isCreatable: found.plan.isCreatable }
  const now = reported({ ...found, live, desired, isKnown: true, differences, plan }, compared.schema)
  refuseUnmade(session, missing, now)
  const isExact = built.isQualified || differences.every(({ change }) => change === 'extra')
  if (isExact) await rememberMade(session, compared, live, desired)
  return { created: createdOf(found, compared, desired, missing), existing, differing: now.differing }
}

/** Creates what is missing; all of it by the models themselves, whose errors name file and line, where nothing is there. */
async function runPlan(session: Session, { schema }: Compared, { plan, isWhole }: Look): Promise<void> {
  if (isWhole) await schema.create(session)
  else await session.script(plan.statements.map(({ text }) => text))
}

/** Returns the created objects, as the database has them: a script may make more than it names. */
function createdOf(found: Look, { schema }: Compared, desired: Structure, missing: readonly SchemaObject[]) {
  if (found.isKnown) return missing
  const schemas = missing.filter(({ kind }) => kind === 'schema')
  const made = desired.filter(({ parent, kind }) => parent === undefined && kind !== 'schema')
  return [...schemas, ...made.map((object) => named(object, schema.defaultSchema))]
}

/** Checks before the commit that everything was made as it should be. @throws `verification-failed` */
function refuseUnmade({ database }: Session, created: readonly SchemaObject[], now: Comparison): void {
  const made = new Set(created.map(({ kind, name }) => `${kind} ${name}`))
  const unmade = [...now.missing, ...now.differing.filter(({ kind, name }) => made.has(`${kind} ${name}`))]
  if (unmade.length > 0) {
    throw verificationError(
      database,
      unmade.map(({ kind, name }) => `${kind} ${name}`),
    )
  }
}

/** Stores what the models make, so that the next start need not build it. */
function rememberMade(
  session: Session,
  { server, fingerprint }: Compared,
  { majorVersion, memory }: ReadStructure,
  structure: Structure,
): Promise<void> {
  return server.structures.remember(session, memorize(memory, { fingerprint, majorVersion }, structure))
}

/** The same where nothing is created, under the lock, so that no other process's memory is overwritten. */
async function rememberIfAllowed(session: Session, compared: Compared, { desired }: Look): Promise<void> {
  try {
    await session.transaction(async () => {
      await session.lock(lockName, 'transaction', 1)
      const live = await compared.server.structures.read(session, { where: 'transaction' })
      await rememberMade(session, compared, live, desired)
    })
  } catch (error) {
    if (!hasCode(error, 'lock-timeout')) throw error
  }
}

function pick({ existing, differing }: Comparison) {
  return { existing, differing }
}

function unverified({ isKnown, obstacle }: Look): { unverified?: string } {
  if (isKnown) return {}
  return {
    unverified: obstacle?.hint ?? obstacle?.message ?? 'What the models make cannot be built beside what exists.',
  }
}

/** Finds out which privileges are missing, rather than reading one from a message that may be in any language. */
async function tablesDeniedError(error: TenantryError, session: Session, found: Look): Promise<TenantryError> {
  const grants = await session.missingGrants(creationOf(found))
  const hint =
    grants.length > 0
      ? `As a superuser, or a role that may grant it: ${grants.join(' ')}`
      : 'Connect as the owner of the object that the error names.'
  const message = `${session.user} may not create what the models lack in ${session.database}: ${error.message}`
  return explained(error, 'permission-denied', message, { hint })
}

function creationOf({ plan, live }: Look): Creation {
  const created = plan.statements.flatMap(({ creates }) => creates)
  const wholes = created.filter(({ parent }) => parent === undefined)
  const tables = new Set(
    live.structure.flatMap(({ kind, schema, name }) => (kind === 'table' ? [JSON.stringify([schema, name])] : [])),
  )
  const existing = (places: readonly { readonly schema: string; readonly name: string }[]) =>
    places
      .filter(({ schema, name }) => tables.has(JSON.stringify([schema, name])))
      .map(({ schema, name }) => `${schema}.${name}`)
  return {
    newSchemas: wholes.filter(({ kind }) => kind === 'schema').map(({ name }) => name),
    schemas: wholes.filter(({ kind }) => kind !== 'schema' && kind !== 'extension').map(({ schema }) => schema),
    altered: existing(plan.statements.flatMap(({ of }) => (of === undefined ? [] : [of]))),
    referenced: existing(plan.statements.flatMap(({ refersTo }) => refersTo)),
  }
}
