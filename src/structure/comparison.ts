import type { StructureDifference } from './compare.ts'
import { repairStatements } from './repair.ts'
import { definitionText, keyOf, type Structure, type StructureKind, type StructureObject } from './structure-object.ts'

/** The kinds of objects, as users know them. A routine is a function, a procedure or an aggregate. */
export type SchemaObjectKind =
  | Exclude<StructureKind, 'function' | 'procedure' | 'aggregate' | 'window function'>
  | 'routine'

/** An object of a database. */
export interface SchemaObject {
  readonly kind: SchemaObjectKind
  /** Qualified where it is not in the default schema; a part with its table: `author.author_name_index`. */
  readonly name: string
}

/** One way in which an object, or a part of it, is not as the models declare it. */
export interface Difference {
  readonly change: 'missing' | 'different' | 'extra'
  /** The object or its part. */
  readonly object: SchemaObject
  /** The definition in the database, in PostgreSQL's words; undefined if it has none. */
  readonly found?: string
  /** The definition by the models, in PostgreSQL's words; undefined if they declare none. */
  readonly expected?: string
  /** The statements that repair it, where that is certain. Read them before you run them: they may drop objects. */
  readonly statements: readonly string[]
}

/** An object that exists and is not as the models declare it. */
export interface DifferingObject extends SchemaObject {
  /** The statements of all its differences. */
  readonly statements: readonly string[]
  readonly differences: readonly Difference[]
}

/** The result of comparing a database with models. */
export interface Comparison {
  readonly existing: readonly SchemaObject[]
  readonly missing: readonly SchemaObject[]
  readonly differing: readonly DifferingObject[]
  /** Objects that the models do not declare: parts of their objects or, with `exact`, all. */
  readonly extra: readonly Difference[]
  /** The statements that create the missing objects and change nothing else; all can run in one transaction. */
  readonly createStatements: readonly string[]
}

/** The parts of a report. */
export interface ReportRequest {
  readonly desired: Structure
  readonly differences: readonly StructureDifference[]
  readonly defaultSchema: string
  /** True for a difference of which the models' own statements create the object. */
  readonly isCreatable: (expected: StructureObject) => boolean
  readonly createStatements: readonly string[]
  /** True where whatever the models do not declare counts as well. */
  readonly exact?: boolean | undefined
}

/** Returns the missing and differing objects of a comparison, each in a few words. */
export function mismatches({ missing, differing }: Comparison): readonly string[] {
  return [
    ...missing.map(({ kind, name }) => `${kind} ${name} is missing`),
    ...differing.map(({ kind, name }) => `${kind} ${name} differs`),
  ]
}

/** Returns all differences of a comparison, each in a few words. */
export function differencesIn(comparison: Comparison): readonly string[] {
  const extra = comparison.extra.map(({ object }) => `${object.kind} ${object.name} is too much`)
  return [...mismatches(comparison), ...extra]
}

/** Sorts the differences of a database by what can be done about them. */
export function reportOf(request: ReportRequest): Comparison {
  const { desired, differences, defaultSchema, isCreatable, createStatements, exact = false } = request
  const wholes = desired.filter((object) => object.parent === undefined)
  const ownNames = new Set(wholes.map((object) => wholeName(object)))
  const missing: StructureObject[] = []
  const extra: Difference[] = []
  const changed = new Map<string, Difference[]>()
  for (const difference of differences) {
    if (difference.change === 'missing' && isCreatable(difference.expected)) missing.push(difference.expected)
    else if (difference.change === 'extra') {
      const isOwn = difference.found.parent !== undefined && ownNames.has(wholeName(difference.found))
      if (exact || isOwn) extra.push(describe(difference, request))
    } else {
      const name = wholeName(difference.expected)
      changed.set(name, [...(changed.get(name) ?? []), describe(difference, request)])
    }
  }
  const missingKeys = new Set(missing.map(keyOf))
  const present = wholes.filter((object) => !missingKeys.has(keyOf(object)))
  return {
    existing: present
      .filter((object) => object.kind !== 'schema' && !changed.has(wholeName(object)))
      .map((object) => named(object, defaultSchema)),
    missing: missing.map((object) => named(object, defaultSchema)),
    differing: present.flatMap((object) => {
      const found = changed.get(wholeName(object))
      if (found === undefined) return []
      return [{ ...named(object, defaultSchema), statements: found.flatMap((it) => it.statements), differences: found }]
    }),
    extra,
    createStatements,
  }
}

function describe(
  difference: StructureDifference,
  { desired, defaultSchema }: Pick<ReportRequest, 'desired' | 'defaultSchema'>,
): Difference {
  const object = difference.change === 'extra' ? difference.found : difference.expected
  return {
    change: difference.change,
    object: named(object, defaultSchema),
    ...(difference.change !== 'missing' && { found: definitionText(difference.found) }),
    ...(difference.change !== 'extra' && { expected: definitionText(difference.expected) }),
    statements: repairStatements(difference, desired),
  }
}

/** The name of the object that stands by itself, of which this is a part; among those of no schema, with its kind. */
function wholeName({ kind, schema, name, parent }: StructureObject): string {
  return JSON.stringify([schema, parent ?? name, schema === '' ? kind : undefined])
}

const routines: ReadonlySet<StructureKind> = new Set(['function', 'procedure', 'aggregate', 'window function'])

/** An object as users name it: with its schema where that is not the default one. */
export function named(object: StructureObject, defaultSchema: string): SchemaObject {
  const { kind, schema, name, parent } = object
  if (kind === 'schema' || kind === 'extension') return { kind, name }
  const isRoutine = routines.has(kind)
  const own = isRoutine ? name.slice(0, name.indexOf('(')) : name
  const path = parent === undefined || parent === own ? [own] : [parent, own]
  return {
    kind: isRoutine ? 'routine' : (kind as SchemaObjectKind),
    name: (schema === defaultSchema || schema === '' ? path : [schema, ...path]).join('.'),
  }
}
