import { TenantryError, hasCode } from '../../kernel/errors.ts'
import type { SchemaSource } from '../../models/port.ts'
import type { Server, Session } from '../../server/port.ts'
import type { BuiltStructure, ReadStructure } from '../../server/structure.ts'
import { byMaker, compareStructures, type StructureDifference } from '../../structure/compare.ts'
import { type Comparison, mismatches, reportOf } from '../../structure/comparison.ts'
import { arrange, type CreationPlan, leftBy, planCreation, type Script } from '../../structure/script.ts'
import { keyOf, type Structure, type StructureObject } from '../../structure/structure-object.ts'
import { statementsOf, toolTables } from './create-tables.ts'
import { findKept, keep, recall } from './structure-memory.ts'

/** Models that a database is compared with. */
export interface Compared {
  readonly server: Server
  readonly schema: SchemaSource
  readonly fingerprint: string
}

/** The structures of a database and of the models. */
export interface Look {
  readonly live: ReadStructure
  /** The structure that the models make; only its names if that is not known. */
  readonly desired: Structure
  /** The same as it was built or remembered. */
  readonly built?: BuiltStructure
  /** False where only names were compared, because it is not known what the models make. */
  readonly isKnown: boolean
  /** True if it was built for this look, and nothing remembers it yet. */
  readonly isNew: boolean
  readonly differences: readonly StructureDifference[]
  /** True if the database has nothing of what the models make, but schemas and extensions. */
  readonly isFresh?: boolean
  /** True if `plan` is all that the models create. */
  readonly isWhole?: boolean
  /** The statements that create what is missing. */
  readonly plan: CreationPlan
  /** Why nothing could be built. */
  readonly obstacle?: TenantryError | undefined
}

/**
 * Compares the session's database with the models. What the models make is remembered from an earlier look, or built for
 * this one and taken back. Where a role may not build, and nothing is remembered, the names alone are compared.
 *
 * @param where `transaction` if the session has one open: then nothing is built
 * @param read the structure of the database, if it was read already
 */
export async function lookAt(
  session: Session,
  compared: Compared,
  where: 'alone' | 'transaction' = 'alone',
  read?: ReadStructure,
): Promise<Look> {
  const { server, schema } = compared
  const live = read ?? (await server.structures.read(session, { where }))
  const known = knownFor(session, compared, live)
  if (known !== undefined) return { ...(await differencesOf(live, known, compared)), isNew: false }
  const script = await scriptOf(compared)
  const absent = [...absentObjects(script, live.structure), ...absentParts(script, live.structure)]
  if (isFresh(script, absent) || where === 'transaction') return namesOnly(live, script, absent)
  try {
    const built = await server.structures.build(session, script, schema.defaultSchema)
    if (built === undefined) return namesOnly(live, script, absent)
    keep(schema, placeOf(session, compared), built)
    return { ...(await differencesOf(live, built, compared, script)), isNew: built.isQualified }
  } catch (error) {
    if (!hasCode(error, 'permission-denied')) throw error
    return { ...namesOnly(live, script, absent), obstacle: error }
  }
}

/** Returns the structure of the models that this process keeps, or that is stored in the database. */
function knownFor(session: Session, compared: Compared, { majorVersion, memory }: ReadStructure) {
  const { schema, fingerprint } = compared
  const remembered = recall(memory, { fingerprint, majorVersion })
  return findKept(schema, placeOf(session, compared)) ?? (remembered && { structure: remembered, isQualified: true })
}

/** True if a database has nothing but schemas and extensions. */
export function isEmpty({ structure }: ReadStructure): boolean {
  return structure.every(({ kind }) => kind === 'schema' || kind === 'extension' || byMaker.has(kind))
}

/** True if a database is empty, and the structure of the models is not known. */
export function isBlank(session: Session, compared: Compared, live: ReadStructure): boolean {
  return isEmpty(live) && knownFor(session, compared, live) === undefined
}

/**
 * A built structure in the words of the database that it is compared with: one that leaves out the default schema takes
 * over the wording of an object that differs by nothing else.
 */
export function wordedLike(
  live: Structure,
  { structure, isQualified }: BuiltStructure,
  defaultSchema: string,
): Structure {
  if (isQualified) return structure
  const found = new Map(live.map((object) => [keyOf(object), object]))
  const plainly = (text: string) => text.replaceAll(`${defaultSchema}.`, '')
  return structure.map((object) => {
    const { definition = '' } = found.get(keyOf(object)) ?? {}
    return plainly(definition) === plainly(object.definition) ? { ...object, definition } : object
  })
}

/** The look at a structure that was read, where what it should be is known or not. */
export async function lookWith(live: ReadStructure, desired: Structure | undefined, compared: Compared): Promise<Look> {
  if (desired !== undefined) {
    return { ...(await differencesOf(live, { structure: desired, isQualified: true }, compared)), isNew: false }
  }
  const script = await scriptOf(compared)
  return namesOnly(live, script, [...absentObjects(script, live.structure), ...absentParts(script, live.structure)])
}

/** Reads and remembers the structure that the models made in an empty database. */
export async function learn(session: Session, compared: Compared, live: ReadStructure): Promise<BuiltStructure> {
  const script = await scriptOf(compared)
  const own = new Set(creatable(script).map(({ schema, name }) => JSON.stringify([schema, name])))
  const isOwn = ({ schema, name, parent }: StructureObject) => {
    const whole = parent ?? name
    const plain =
      whole.includes('(') && !own.has(JSON.stringify([schema, whole])) ? whole.slice(0, whole.indexOf('(')) : whole
    return own.has(JSON.stringify([schema, plain]))
  }
  const built = { structure: arrange(live.structure.filter(isOwn), script), isQualified: true }
  keep(compared.schema, placeOf(session, compared), built)
  return built
}

/** The comparison of a look, as users read it. */
export function reported({ desired, differences, plan }: Look, schema: SchemaSource, exact = false): Comparison {
  return reportOf({
    desired,
    differences,
    defaultSchema: schema.defaultSchema,
    isCreatable: plan.isCreatable,
    createStatements: plan.statements.map(({ text }) => `${text};`),
    exact,
  })
}

/** Refuses a database that lacks an object of the models, or has a different one. @throws `verification-failed` */
export function refuseMismatch(database: string, comparison: Comparison): void {
  const found = mismatches(comparison)
  if (found.length === 0) return
  throw new TenantryError('verification-failed', `${database} does not match the models: ${found.join(', ')}.`, {
    hint: 'Bring it up to date first: ensureTables() or "tenantry ensure" creates what is missing, checkDatabase() or "tenantry check" shows what differs.',
  })
}

async function differencesOf(
  live: ReadStructure,
  built: BuiltStructure,
  compared: Compared,
  script?: Script,
): Promise<Omit<Look, 'isNew'>> {
  const desired = wordedLike(live.structure, built, compared.schema.defaultSchema)
  const differences = ownDifferences(desired, live.structure, compared.schema)
  // The script is parsed only where something of it may be run.
  const isWhole = differences.every(({ change }) => change !== 'missing')
  const plan = isWhole ? nothingToCreate : planCreation(script ?? (await scriptOf(compared)), differences)
  return { live, desired, built, isKnown: true, differences, plan }
}

/** Compares structures. The columns of a tool's tables may be of another type: so its versions made them. */
export function ownDifferences(
  desired: Structure,
  live: Structure,
  source: SchemaSource,
): readonly StructureDifference[] {
  const isOfTool = ({ schema, parent }: StructureObject) =>
    toolTables(source).some((it) => it.schema === schema && it.table === parent)
  return compareStructures(desired, live).filter((it) => it.change !== 'different' || !isOfTool(it.expected))
}

const nothingToCreate: CreationPlan = { statements: [], isCreatable: () => false }

function namesOnly(live: ReadStructure, script: Script, absent: readonly StructureObject[]): Look {
  const differences = absent.map((expected) => ({ change: 'missing' as const, expected }))
  const plan = planCreation(script, differences)
  if (!isFresh(script, absent))
    return { live, desired: creatable(script), isKnown: false, isNew: false, differences, plan }
  const presentSchemas = new Set(live.structure.filter(({ kind }) => kind === 'schema').map(({ name }) => name))
  const statements = script.statements.filter(({ creates }) =>
    creates.every(({ kind, name }) => kind !== 'schema' || !presentSchemas.has(name)),
  )
  return {
    live,
    desired: creatable(script),
    isKnown: false,
    isNew: false,
    isFresh: true,
    isWhole: statements.length === script.statements.length,
    differences,
    plan: { ...plan, statements },
  }
}

/** True if a database has nothing of a script, but schemas and extensions. */
function isFresh(script: Script, absent: readonly StructureObject[]): boolean {
  const stands = ({ kind }: StructureObject) => kind !== 'schema' && kind !== 'extension'
  const own = creatable(script).filter(stands).length
  return own > 0 && absent.filter((it) => it.parent === undefined && stands(it)).length === own
}

/** Returns the models' create statements, parsed. @throws `models-invalid` */
export async function scriptOf({ server, schema }: Compared): Promise<Script> {
  return server.structures.parse(await statementsOf(schema), schema.defaultSchema)
}

/** The objects of a script that stand by themselves. */
function creatable(script: Script): readonly StructureObject[] {
  return leftBy(script).flatMap((it) => (it.parent === undefined ? [{ ...it, definition: '' }] : []))
}

/** Returns the objects of a script that a database lacks, compared by name. */
export function absentObjects(script: Script, live: Structure): readonly StructureObject[] {
  const present = new Set(live.filter(({ parent }) => parent === undefined).map(nameKey))
  return creatable(script).filter((object) => !present.has(nameKey(object)))
}

/** The parts that a script creates by their names on tables that exist, and that these lack. */
function absentParts(script: Script, live: Structure): readonly StructureObject[] {
  const present = new Set(live.map(keyOf))
  const tables = new Set(
    live.flatMap(({ schema, name, parent }) => (parent === undefined ? [JSON.stringify([schema, name])] : [])),
  )
  return leftBy(script)
    .filter(({ schema, parent }) => parent !== undefined && tables.has(JSON.stringify([schema, parent])))
    .map((object) => ({ ...object, definition: '' }))
    .filter((object) => !present.has(keyOf(object)))
}

function nameKey(object: StructureObject): string {
  const { name } = object
  return keyOf(name.includes('(') ? { ...object, name: name.slice(0, name.indexOf('(')) } : object)
}

function placeOf({ database }: Session, { server, fingerprint }: Compared): string {
  return JSON.stringify([server.description, database, fingerprint])
}
