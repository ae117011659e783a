import { keyOf, type PartKind, type Structure, type StructureKind, type StructureObject } from './structure-object.ts'

/** A difference between two structures. */
export type StructureDifference =
  | { readonly change: 'missing'; readonly expected: StructureObject }
  | { readonly change: 'different'; readonly expected: StructureObject; readonly found: StructureObject }
  | { readonly change: 'extra'; readonly found: StructureObject }

/** Kinds that depend on the role that made a database, not on its models: Tenantry compares them separately. */
export const byMaker: ReadonlySet<StructureKind> = new Set(['owner', 'grant'])

/** Parts that PostgreSQL names if a statement states no name. */
export const namedByPostgres: ReadonlySet<StructureKind> = new Set<PartKind>([
  'primary key',
  'unique',
  'exclusion',
  'check',
  'foreign key',
  'index',
])

/**
 * Compares the desired structure of a database with the actual one, object by object. Owners and grants do not count. The parts of
 * an object that is missing, or extra, are not listed besides.
 */
export function compareStructures(desired: Structure, actual: Structure): readonly StructureDifference[] {
  const found = new Map(actual.filter(counts).map((object) => [keyOf(object), object]))
  const wanted = desired.filter(counts)
  const unmatched: StructureObject[] = []
  const differences: StructureDifference[] = []
  for (const expected of wanted) {
    const other = found.get(keyOf(expected))
    if (other === undefined) {
      unmatched.push(expected)
      continue
    }
    found.delete(keyOf(expected))
    if (!isEqualObject(expected, other)) differences.push({ change: 'different', expected, found: other })
  }
  const missing = unmatched.filter((expected) => !takeNamedOtherwise(expected, found))
  return [
    ...withoutParts(missing).map((expected) => ({ change: 'missing' as const, expected })),
    ...differences,
    ...withoutParts([...found.values()].filter((object) => !isSchemaOf(wanted, object))).map((object) => ({
      change: 'extra' as const,
      found: object,
    })),
  ]
}

/** True for a schema of desired objects: the default one need not be declared. */
function isSchemaOf(wanted: Structure, { kind, name }: StructureObject): boolean {
  return kind === 'schema' && wanted.some(({ schema }) => schema === name)
}

/** Leaves out the parts of objects that are listed themselves. */
function withoutParts(objects: readonly StructureObject[]): readonly StructureObject[] {
  const wholes = new Set(
    objects.filter(({ parent }) => parent === undefined).map(({ schema, name }) => at(schema, name)),
  )
  return objects.filter(({ schema, parent }) => parent === undefined || !wholes.has(at(schema, parent)))
}

function at(schema: string, name: string): string {
  return JSON.stringify([schema, name])
}

function counts({ kind }: StructureObject): boolean {
  return !byMaker.has(kind)
}

function isEqualObject(one: StructureObject, other: StructureObject): boolean {
  return one.kind === other.kind && one.definition === other.definition
}

/** Matches a part that PostgreSQL named by its definition, and removes it from the found ones. */
function takeNamedOtherwise(expected: StructureObject, found: Map<string, StructureObject>): boolean {
  if (expected.isUnnamed !== true) return false
  for (const [key, other] of found) {
    const isIt =
      other.kind === expected.kind &&
      other.schema === expected.schema &&
      other.parent === expected.parent &&
      unnamedDefinition(other) === unnamedDefinition(expected)
    if (isIt) return found.delete(key)
  }
  return false
}

/** The definition without the object's own name, which that of an index begins with. */
function unnamedDefinition({ kind, name, definition }: StructureObject): string {
  if (kind !== 'index') return definition
  const quoted = ` "${name.replaceAll('"', '""')}" ON `
  return definition.replace(definition.includes(quoted) ? quoted : ` ${name} ON `, ' ON ')
}
