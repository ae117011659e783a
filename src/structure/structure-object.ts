import { sha256 } from '../kernel/hash.ts'

/** Kinds of objects that stand by themselves in a database. */
export type ObjectKind =
  | 'schema'
  | 'extension'
  | 'table'
  | 'foreign table'
  | 'view'
  | 'sequence'
  | 'enum'
  | 'domain'
  | 'range'
  | 'composite type'
  | 'type'
  | 'function'
  | 'procedure'
  | 'aggregate'
  | 'window function'
  | 'operator'
  | 'operator class'
  | 'operator family'
  | 'collation'
  | 'conversion'
  | 'text search configuration'
  | 'text search dictionary'
  | 'text search parser'
  | 'text search template'
  | SchemalessKind

/** Kinds of objects that belong to no schema. */
export type SchemalessKind =
  | 'cast'
  | 'publication'
  | 'subscription'
  | 'event trigger'
  | 'foreign data wrapper'
  | 'foreign server'
  | 'user mapping'
  | 'language'
  | 'transform'
  | 'access method'

/** Kinds of objects that belong to another one, their parent. */
export type PartKind =
  | 'column'
  | 'primary key'
  | 'unique'
  | 'exclusion'
  | 'check'
  | 'foreign key'
  | 'index'
  | 'trigger'
  | 'rule'
  | 'policy'
  | 'statistics'
  | 'row security'
  | 'replica identity'
  | 'comment'
  | 'owner'
  | 'grant'

/** Any kind of object. */
export type StructureKind = ObjectKind | PartKind

/** One object of a database as PostgreSQL words it. */
export interface StructureObject {
  readonly kind: StructureKind
  /** The schema, unquoted; that of the parent, for a part; empty for an object of no schema. */
  readonly schema: string
  /** The name, unquoted; that of a routine with the types of its arguments. */
  readonly name: string
  /** The unquoted name of the object that it belongs to; undefined for one that stands by itself. */
  readonly parent?: string | undefined
  /** PostgreSQL's own wording. Clauses that a single statement can change are separated by {@link clauseSeparator}. */
  readonly definition: string
  /** True if PostgreSQL made up the name, because no statement states one. */
  readonly isUnnamed?: true | undefined
}

/** Everything that a database consists of. */
export type Structure = readonly StructureObject[]

/** Separates the clauses of a definition. It is no character of SQL. */
export const clauseSeparator = '\u001f'

/** The definition as it reads in a message. */
export function definitionText({ definition }: StructureObject): string {
  return definition.replaceAll(clauseSeparator, ' ').trim()
}

/** Kinds that can take each other's place under one name: then the object is different, not missing. */
const families: Partial<Record<StructureKind, string>> = {
  'foreign table': 'table',
  'primary key': 'key',
  unique: 'key',
  exclusion: 'key',
  index: 'key',
  'foreign key': 'constraint',
  check: 'constraint',
  procedure: 'function',
  aggregate: 'function',
  'window function': 'function',
}

/** The key of an object: one name in one database, whatever it is there. */
export function keyOf({ kind, schema, name, parent }: Pick<StructureObject, 'kind' | 'schema' | 'name' | 'parent'>) {
  return JSON.stringify([families[kind] ?? kind, schema, parent ?? null, name])
}

/** A hash of a structure, the same whatever the order of its objects. */
export function digestOf(structure: Structure): string {
  const lines = structure.map(({ kind, schema, name, parent = '', definition }) =>
    JSON.stringify([kind, schema, parent, name, definition]),
  )
  return sha256(lines.toSorted().join('\n'))
}
