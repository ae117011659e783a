import type { Cancellable } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { physicalNames } from '../../kernel/names.ts'
import type { FinishedTemplate } from '../../catalog/inventory.ts'
import type { Server, Session } from '../../server/port.ts'
import type { GroupsInUse, ReadStructure } from '../../server/structure.ts'
import { arrange } from '../../structure/script.ts'
import { digestOf, type Structure, type StructureObject } from '../../structure/structure-object.ts'
import { absentObjects, type Compared, lookWith, type Look, ownDifferences, scriptOf } from './compare-database.ts'
import type { KnownStructures, ProvisioningContext } from '../context.ts'
import { verificationError } from './create-tables.ts'
import { isStructure, packed, unpacked } from './structure-memory.ts'

/** A tenant's database that is compared with the template of this process's version. */
export interface ComparedTenant {
  readonly server: Server
  readonly session: Session
  /** The groups whose privileges are looked at as well. */
  readonly usedBy?: GroupsInUse | undefined
  /** Builds the template, or the structure alone, where none is known yet. */
  readonly build: () => Promise<void>
}

/**
 * Compares a tenant's database with what the catalog knows of the version's template: in one round trip, without the ORM.
 * Nothing is built in the tenant's database, where names may mean what somebody else made of them.
 */
export async function lookAtTenant(
  context: ProvisioningContext,
  { server, session, usedBy, build }: ComparedTenant,
): Promise<Look> {
  const live = await server.structures.read(session, { usedBy })
  return lookWith(live, await knownOrBuilt(context, live, build), comparedWith(context, server))
}

/** Returns the structure of this process's version in the words of a server; undefined where building makes it not known. */
export async function knownOrBuilt(
  context: ProvisioningContext,
  { majorVersion }: Pick<ReadStructure, 'majorVersion'>,
  build: () => Promise<void>,
): Promise<Structure | undefined> {
  const known = (await structuresOf(context)).get(majorVersion)
  if (known !== undefined) return known
  await build()
  return (await structuresOf(context, 'again')).get(majorVersion)
}

/**
 * Compares a database with the template of a version, which may be another than this process's.
 *
 * @returns undefined if the catalog has no template of that version from a server of the same major version
 */
export async function lookAtVersion(
  context: ProvisioningContext,
  { server, session, usedBy }: Omit<ComparedTenant, 'build'>,
  fingerprint: string,
): Promise<Look | undefined> {
  const live = await server.structures.read(session, { usedBy })
  const desired = (await structuresOf(contextOfVersion(context, fingerprint))).get(live.majorVersion)
  if (desired === undefined) return undefined
  const differences = ownDifferences(desired, live.structure, context.models.schema)
  // The statements of another version are not known.
  const plan = { statements: [], isCreatable: ({ parent }: StructureObject) => parent === undefined }
  return { live, desired, isKnown: true, isNew: false, differences, plan }
}

/** Returns the context of another version of the models, for what the catalog knows of it. */
export function contextOfVersion(context: ProvisioningContext, fingerprint: string): ProvisioningContext {
  return fingerprint === context.fingerprint ? context : { ...context, fingerprint, knownStructures: new Map() }
}

/** The structures of this process's version that the catalog has; read once, and again where one is missing. */
export async function structuresOf(
  { knownStructures, inventory, fingerprint }: ProvisioningContext,
  how: 'cached' | 'again' = 'cached',
): Promise<KnownStructures> {
  if (knownStructures.size > 0 && how === 'cached') return knownStructures
  for (const [majorVersion, text] of await inventory.structures(fingerprint)) {
    const structure = unpacked(text)
    if (isStructure(structure)) knownStructures.set(majorVersion, structure)
  }
  return knownStructures
}

/**
 * Builds what the models make in the catalog's database and takes it back, for a process that may make no template: no
 * tenant can have put anything there. Where that is not possible, nothing is known.
 */
export async function buildInCatalog(context: ProvisioningContext, options: Cancellable): Promise<void> {
  const { home, installation, models, knownStructures } = context
  const session = await home.connect(physicalNames.catalog(installation), options)
  try {
    const script = await scriptOf(comparedWith(context, home))
    const built = await home.structures.build(session, script, models.schema.defaultSchema)
    if (built?.isQualified !== true) return
    knownStructures.set((await home.structures.read(session)).majorVersion, built.structure)
  } catch (error) {
    const isImpossible = error instanceof TenantryError && ['permission-denied', 'query-failed'].includes(error.code)
    if (!isImpossible) throw error
  } finally {
    await session.close()
  }
}

/**
 * Returns the structure of a template that was just built, for the catalog.
 *
 * @throws `verification-failed` if it has not all that the statements of the models create
 */
export async function describeTemplate(
  context: ProvisioningContext,
  server: Server,
  session: Session,
): Promise<FinishedTemplate> {
  const { structure, majorVersion } = await server.structures.read(session, { privileges: true })
  const script = await scriptOf(comparedWith(context, server))
  const absent = absentObjects(script, structure)
  if (absent.length > 0)
    throw verificationError(
      session.database,
      absent.map(({ kind, name }) => `${kind} ${name}`),
    )
  const arranged = arrange(structure, script)
  context.knownStructures.set(majorVersion, arranged)
  const { fingerprint } = context
  return { digest: digestOf(structure), fingerprint, majorVersion, structure: packed(arranged) }
}

/** Returns what a database of a server is compared with: the models of this process. */
export function comparedWith({ models, fingerprint }: ProvisioningContext, server: Server): Compared {
  return { server, schema: models.schema, fingerprint }
}

/** The error where a database cannot be compared with anything. */
export function unknownStructureError(database: string): TenantryError {
  return new TenantryError(
    'verification-failed',
    `${database} cannot be compared: no template of this version was built.`,
    {
      hint: "Onboard a tenant in a process without mode: 'router', which builds the template, and repeat the call.",
    },
  )
}
