import { sha256 } from '../kernel/hash.ts'
import { compareStructures, type StructureDifference } from './compare.ts'
import { quoteName } from '../kernel/quoting.ts'
import { parentOf, qualified } from './qualified.ts'
import { columnClauses } from './repair.ts'
import { keyOf, type Structure, type StructureKind, type StructureObject } from './structure-object.ts'

/**
 * A change of a table in parts, none of which keeps writers waiting while it reads the table: the statements that
 * prepare it, each in a transaction of its own, and those that take its place afterwards.
 */
export interface OnlineForm {
  readonly prepare: readonly OnlineStatement[]
  /** Short, also in a large table. None if the preparation is all. */
  readonly finish: readonly string[]
}

/** A statement that prepares a change. It is decided by its object whether a database has it already. */
export interface OnlineStatement {
  readonly sql: string
  /** True if it runs outside of a transaction, such as CREATE INDEX CONCURRENTLY. */
  readonly isAlone: boolean
  readonly object: Pick<StructureObject, 'kind' | 'schema' | 'name' | 'parent'>
  /** The condition under which it runs: the object is missing, or not valid yet. */
  readonly when: 'missing' | 'not valid'
}

/**
 * Returns the online form of a statement.
 *
 * @param sql the statement
 * @param before the structure before it
 * @param after the structure after it
 * @param isScan true if it reads a whole table
 * @returns undefined if it has none, as one that rewrites a table, or drops anything
 */
export function onlineForm(sql: string, before: Structure, after: Structure, isScan: boolean): OnlineForm | undefined {
  const differences = compareStructures(after, before)
  const [first] = differences
  if (first === undefined) return undefined
  if (!isScan) {
    const isAddition = differences.every((it) => it.change === 'missing' && additions.has(it.expected.kind))
    if (first.change !== 'missing' || !isAddition) return undefined
    // One of them stands for all: the statement makes all or none.
    return { prepare: [{ sql, isAlone: false, object: identityOf(first.expected), when: 'missing' }], finish: [] }
  }
  const forms = differences.map(formOf)
  if (!forms.every((form) => form !== undefined)) return undefined
  return { prepare: forms.flatMap((form) => form.prepare), finish: forms.flatMap((form) => form.finish) }
}

/** The kinds of objects that nothing is called by and no row changes with, which can come before other steps. */
const additions: ReadonlySet<StructureKind> = new Set<StructureKind>([
  'schema',
  'table',
  'column',
  'sequence',
  'enum',
  'primary key',
  'unique',
  'check',
  'foreign key',
  'index',
  'comment',
])

/** True if a database has something that a change in parts prepares. */
export function isPrepared(structure: Structure, forms: readonly OnlineForm[]): boolean {
  const keys = new Set(structure.map(keyOf))
  return forms.some((form) => form.prepare.some(({ object }) => keys.has(keyOf(object))))
}

/** True for an object that a change in parts prepares. */
export function isOfForm(object: StructureObject, forms: readonly OnlineForm[]): boolean {
  return isPrepared([object], forms)
}

/** True for an index that an interrupted CREATE INDEX CONCURRENTLY left, and for a constraint before its validation. */
export function isHalfMade({ definition }: StructureObject): boolean {
  return definition.endsWith('(invalid)') || definition.endsWith('(not ready)') || definition.endsWith(notValid)
}

const notValid = ' NOT VALID'

function formOf(difference: StructureDifference): OnlineForm | undefined {
  if (difference.change === 'different') return requiredForm(difference.expected, difference.found)
  if (difference.change === 'extra') return undefined
  const { expected } = difference
  switch (expected.kind) {
    case 'index':
      return indexForm(expected)
    case 'unique':
      return uniqueForm(expected)
    case 'check':
    case 'foreign key':
      return { prepare: constraintStatements(expected), finish: [] }
    default:
      return undefined
  }
}

/** The wording of pg_get_indexdef. */
const createIndex = /^CREATE( UNIQUE)? INDEX (?=\S)/

function indexForm(index: StructureObject): OnlineForm | undefined {
  if (!createIndex.test(index.definition)) return undefined
  const sql = index.definition.replace(createIndex, 'CREATE$1 INDEX CONCURRENTLY ')
  return { prepare: [{ sql, isAlone: true, object: identityOf(index), when: 'missing' }], finish: [] }
}

/** The wording of pg_get_constraintdef; a constraint with more clauses is added as it is. */
const uniqueColumns = /^UNIQUE( NULLS NOT DISTINCT)? (\([^()]*\))$/

function uniqueForm(constraint: StructureObject): OnlineForm | undefined {
  const [, nulls = '', columns] = uniqueColumns.exec(constraint.definition) ?? []
  if (columns === undefined) return undefined
  const [table, name] = [parentOf(constraint), quoteName(constraint.name)]
  const sql = `create unique index concurrently ${name} on ${table} ${columns}${nulls.toLowerCase()}`
  return {
    prepare: [{ sql, isAlone: true, object: { ...identityOf(constraint), kind: 'index' }, when: 'missing' }],
    finish: [`alter table ${table} add constraint ${name} unique using index ${name}`],
  }
}

function constraintStatements(constraint: StructureObject): readonly OnlineStatement[] {
  const { name, definition } = constraint
  const [table, object] = [`alter table ${parentOf(constraint)}`, identityOf(constraint)]
  const add = `${table} add constraint ${quoteName(name)} ${definition}${notValid}`
  const validate = `${table} validate constraint ${quoteName(name)}`
  return [
    { sql: add, isAlone: false, object, when: 'missing' },
    { sql: validate, isAlone: false, object, when: 'not valid' },
  ]
}

/** A column that may no longer be null: SET NOT NULL does not read the table where a valid check says the same. */
function requiredForm(expected: StructureObject, found: StructureObject): OnlineForm | undefined {
  const [wanted, present] = [columnClauses(expected), columnClauses(found)]
  const isOnlyRequired =
    expected.kind === 'column' && wanted.isRequired && !present.isRequired && isEqualBut(wanted, present)
  if (!isOnlyRequired) return undefined
  const check: StructureObject = {
    kind: 'check',
    schema: expected.schema,
    parent: expected.parent,
    name: `tenantry_not_null_${sha256(keyOf(expected)).slice(0, 16)}`,
    definition: `CHECK ((${quoteName(expected.name)} IS NOT NULL))`,
  }
  const table = `alter table ${parentOf(expected)}`
  return {
    prepare: constraintStatements(check),
    finish: [
      `${table} alter column ${quoteName(expected.name)} set not null`,
      `${table} drop constraint ${quoteName(check.name)}`,
    ],
  }
}

function isEqualBut(one: ReturnType<typeof columnClauses>, other: ReturnType<typeof columnClauses>): boolean {
  return one.type === other.type && one.fallback === other.fallback && one.rest === other.rest
}

function identityOf({ kind, schema, name, parent }: StructureObject): OnlineStatement['object'] {
  return { kind, schema, name, ...(parent !== undefined && { parent }) }
}

/** Returns the statement that drops what an interrupted preparation left, and true if it runs outside of a transaction. */
export function discardStatement(object: StructureObject): Pick<OnlineStatement, 'sql' | 'isAlone'> {
  if (object.kind === 'index') return { sql: `drop index concurrently if exists ${qualified(object)}`, isAlone: true }
  return { sql: `alter table ${parentOf(object)} drop constraint if exists ${quoteName(object.name)}`, isAlone: false }
}
