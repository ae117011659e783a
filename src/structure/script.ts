import { namedByPostgres, type StructureDifference } from './compare.ts'
import { keyOf, type Structure, type StructureKind, type StructureObject } from './structure-object.ts'

/** An object as a statement names it. */
export interface ScriptObject {
  readonly kind: StructureKind
  readonly schema: string
  readonly name: string
  readonly parent?: string | undefined
}

/** The place of an object that a statement drops, renames or alters; of a part, `parent` is its table. */
export interface ObjectPlace {
  readonly schema: string
  readonly name: string
  readonly parent?: string | undefined
  /** The kind of an object of no schema. */
  readonly kind?: StructureKind | undefined
}

/** One statement of a script, and what it is about. */
export interface ScriptStatement {
  readonly text: string
  /** The objects that it creates. */
  readonly creates: readonly ScriptObject[]
  /** The objects that it drops. */
  readonly removes?: readonly ObjectPlace[]
  /** The objects that it renames, or puts into another schema. */
  readonly renames?: readonly { readonly from: ObjectPlace; readonly to: ObjectPlace }[]
  /** The object of which it creates or changes a part. */
  readonly of?: ObjectPlace | undefined
  /** The table of a TRUNCATE, or of a DELETE or UPDATE without a condition. */
  readonly clears?: string | undefined
  /** The names in it, among them those of all columns that it uses. */
  readonly mentions: ReadonlySet<string>
  /** True if it creates an object of no schema that cannot be made under another name. */
  readonly isFixed?: true | undefined
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

/** Returns the objects that a script creates and neither drops again nor leaves under another name. */
export function leftBy({ statements }: Script): readonly ScriptObject[] {
  let left: readonly ScriptObject[] = []
  for (const { creates, removes = [], renames = [] } of statements) {
    if (removes.length > 0) left = left.filter((object) => !removes.some((it) => isGoneWith(object, it)))
    for (const { from, to } of renames) left = left.map((object) => renamed(object, from, to))
    left = [...left, ...creates]
  }
  return left
}

/** True if an object is the one that is dropped, or in it. */
function isGoneWith(object: ScriptObject, gone: ObjectPlace): boolean {
  const isSchema = gone.parent === undefined && gone.schema === gone.name
  return is(object, gone) || (object.schema === gone.schema && (object.parent === gone.name || isSchema))
}

function renamed(object: ScriptObject, from: ObjectPlace, to: ObjectPlace): ScriptObject {
  if (is(object, from)) return { ...object, schema: to.schema, name: to.name }
  const isPart = object.schema === from.schema && object.parent === from.name && from.parent === undefined
  return isPart ? { ...object, schema: to.schema, parent: to.name } : object
}

/** An index has a name of its own in the schema, unlike all other parts of tables. */
function is(object: ScriptObject, { schema, name, parent, kind = object.kind }: ObjectPlace): boolean {
  if (object.kind !== kind || object.schema !== schema || withoutArguments(object) !== name) return false
  return parent === object.parent || (parent === undefined && object.kind === 'index')
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
  const wholes = new Set(missing.filter((it) => it.parent === undefined).map((it) => plainKey(it)))
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
    statement.creates.some((it) => it.parent === undefined && wholes.has(plainKey(it))) ||
    (statement.of !== undefined && wholes.has(plain(statement.of.schema, statement.of.name, statement.of.kind)))
  return {
    statements: statements.filter(isNeeded),
    isCreatable: (object) => object.parent === undefined || parts.includes(object),
  }
}

function plainKey(object: ScriptObject): string {
  return plain(object.schema, withoutArguments(object), object.schema === '' ? object.kind : undefined)
}

function parentKey({ schema, parent = '' }: ScriptObject): string {
  return plain(schema, parent)
}

/** @param kind that of an object of no schema, where each kind has names of its own */
function plain(schema: string, name: string, kind?: StructureKind): string {
  return JSON.stringify([schema, name, kind])
}

const withArguments: ReadonlySet<StructureKind> = new Set(['function', 'procedure', 'aggregate', 'operator'])

function withoutArguments({ kind, name }: Pick<ScriptObject, 'kind' | 'name'>): string {
  return withArguments.has(kind) && name.includes('(') ? name.slice(0, name.indexOf('(')) : name
}
