import { namedByPostgres, type StructureDifference } from './compare.ts'
import { keyOf, type Structure, type StructureKind, type StructureObject } from './structure-object.ts'

/** An object as a statement names it. */
export interface ScriptObject {
  readonly kind: StructureKind
  readonly schema: string
  readonly name: string
  readonly parent?: string | undefined
}

/** One statement of a script, and what it is about. */
export interface ScriptStatement {
  readonly text: string
  /** The objects that it creates. */
  readonly creates: readonly ScriptObject[]
  /** The object of which it creates or changes a part. */
  readonly of?: { readonly schema: string; readonly name: string } | undefined
  /** The names in it, among them those of all columns that it uses. */
  readonly mentions: ReadonlySet<string>
  /** The tables that its foreign keys refer to. */
  readonly refersTo: readonly { readonly schema: string; readonly name: string }[]
}

/** A parsed script. */
export interface Script {
  readonly statements: readonly ScriptStatement[]
  /** The names that its statements state for keys, checks and indexes, unquoted. */
  readonly statedNames: ReadonlySet<string>
}

/** Marks the objects whose names no statement states, and puts what the script creates in its order. */
export function arrange(structure: Structure, { statements, statedNames }: Script): Structure {
  const order = new Map<string, number>()
  for (const [i, { creates }] of statements.entries()) {
    for (const object of creates)
      if (object.parent === undefined) order.set(`${object.schema}.${withoutArguments(object)}`, i)
  }
  const rank = (object: StructureObject) =>
    order.get(`${object.schema}.${object.parent ?? withoutArguments(object)}`) ?? statements.length
  return structure
    .map((object) =>
      namedByPostgres.has(object.kind) && !statedNames.has(object.name)
        ? { ...object, isUnnamed: true as const }
        : object,
    )
    .toSorted((one, other) => rank(one) - rank(other))
}

/** The statements of a script to run in a database. */
export interface CreationPlan {
  readonly statements: readonly ScriptStatement[]
  readonly isCreatable: (object: StructureObject) => boolean
}

/** The kinds of parts that can be created beside a table's rows, where the script has a statement for them. */
const creatableParts: ReadonlySet<StructureKind> = new Set([
  ...namedByPostgres,
  'trigger',
  'rule',
  'policy',
  'statistics',
])

/**
 * Chooses the statements that create what is missing. A part of an existing object is created if a statement of its own
 * does that, and if the tables concerned have all columns that it uses.
 */
export function planCreation({ statements }: Script, differences: readonly StructureDifference[]): CreationPlan {
  const missing = differences.flatMap((it) => (it.change === 'missing' ? [it.expected] : []))
  const wholes = new Set(missing.filter((it) => it.parent === undefined).map((it) => nameKey(it)))
  const columns = Map.groupBy(
    missing.filter((it) => it.kind === 'column'),
    parentKey,
  )
  const isIncomplete = ({ of, refersTo, mentions }: ScriptStatement) =>
    [...(of === undefined ? [] : [of]), ...refersTo].some(({ schema, name }) =>
      columns.get(plain(schema, name))?.some((column) => mentions.has(column.name)),
    )
  const byPart = new Map<string, ScriptStatement>()
  for (const statement of statements) {
    for (const object of statement.creates) {
      if (object.parent !== undefined && !isIncomplete(statement)) byPart.set(keyOf(object), statement)
    }
  }
  const parts = missing.filter((it) => creatableParts.has(it.kind) && byPart.has(keyOf(it)))
  const ofParts = new Set(parts.map((it) => byPart.get(keyOf(it))))
  const isNeeded = (statement: ScriptStatement) =>
    ofParts.has(statement) ||
    statement.creates.some((it) => it.parent === undefined && wholes.has(nameKey(it))) ||
    (statement.of !== undefined && wholes.has(plain(statement.of.schema, statement.of.name)))
  return {
    statements: statements.filter(isNeeded),
    isCreatable: (object) => object.parent === undefined || parts.includes(object),
  }
}

function nameKey(object: ScriptObject): string {
  return plain(object.schema, withoutArguments(object))
}

function parentKey({ schema, parent = '' }: ScriptObject): string {
  return plain(schema, parent)
}

function plain(schema: string, name: string): string {
  return JSON.stringify([schema, name])
}

const withArguments: ReadonlySet<StructureKind> = new Set(['function', 'procedure', 'aggregate', 'operator'])

function withoutArguments({ kind, name }: Pick<ScriptObject, 'kind' | 'name'>): string {
  return withArguments.has(kind) && name.includes('(') ? name.slice(0, name.indexOf('(')) : name
}
