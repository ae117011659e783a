import type { DatabaseSchema, ForeignKey, IndexDef, SchemaDifference, TableDifference } from '@mikro-orm/sql'
import type { DifferingObject, SchemaObject } from '../port.ts'

/** MikroORM's difference, sorted by what may be done about it. */
interface Sorted {
  readonly missing: readonly SchemaObject[]
  /** The part that only creates. */
  readonly toCreate: SchemaDifference
  readonly differing: readonly DifferingObject[]
}

/**
 * Parts a difference into what is missing, which may be created, and what is there but differs, which may not be
 * touched. An index or a foreign key that an existing table lacks is missing, so long as its columns are there.
 */
export function differencesOf(
  difference: SchemaDifference,
  actual: DatabaseSchema,
  wanted: DatabaseSchema,
  toSql: (part: SchemaDifference) => string[],
): Sorted {
  const nothing = emptyLike(difference)
  const missing: SchemaObject[] = newObjects(difference)
  const differing: DifferingObject[] = changedEnums(actual, wanted)
  const additions: Record<string, TableDifference> = {}

  for (const [key, change] of Object.entries(difference.changedTables)) {
    const name = change.toTable.getShortestName()
    const { creatable, rest } = split(change, difference)
    if (creatable !== undefined) {
      additions[key] = creatable
      missing.push(...addedParts(name, creatable))
    }
    if (rest === undefined) continue
    const statements = toSql({ ...nothing, changedTables: { [key]: rest } })
    // MikroORM lists a materialised view whose indexes differ among the tables.
    const kind = wanted.getTables().includes(change.toTable) ? 'table' : 'view'
    if (statements.length > 0) differing.push({ kind, name, statements })
  }
  for (const [key, view] of Object.entries(difference.changedViews)) {
    const statements = toSql({ ...nothing, changedViews: { [key]: view } })
    differing.push({ kind: 'view', name: qualifiedName(view.to), statements })
  }
  for (const [key, routine] of Object.entries(difference.changedRoutines)) {
    const statements = toSql({ ...nothing, changedRoutines: { [key]: routine } })
    differing.push({ kind: 'routine', name: qualifiedName(routine.to), statements })
  }

  const { newNamespaces, newNativeEnums, newTables, newViews, newRoutines } = difference
  const toCreate = { ...nothing, newNamespaces, newNativeEnums, newTables, newViews, newRoutines }
  return { missing, toCreate: { ...toCreate, changedTables: additions }, differing }
}

function newObjects(difference: SchemaDifference): SchemaObject[] {
  return [
    ...[...difference.newNamespaces].map((name) => ({ kind: 'schema' as const, name })),
    ...difference.newNativeEnums.map((type) => ({ kind: 'enum' as const, name: qualifiedName(type) })),
    ...Object.values(difference.newTables).map((table) => ({ kind: 'table' as const, name: table.getShortestName() })),
    ...Object.values(difference.newViews).map((view) => ({ kind: 'view' as const, name: qualifiedName(view) })),
    ...Object.values(difference.newRoutines).map((routine) => ({
      kind: 'routine' as const,
      name: qualifiedName(routine),
    })),
  ]
}

/** MikroORM sees that a value was added only where a column uses the enum, and never that one is not wanted any more. */
function changedEnums(actual: DatabaseSchema, wanted: DatabaseSchema): DifferingObject[] {
  return Object.entries(wanted.getNativeEnums()).flatMap(([name, { items }]) => {
    const found = actual.hasNativeEnum(name) ? actual.getNativeEnum(name).items : items
    const same = found.length === items.length && found.every((item, i) => item === items[i])
    return same ? [] : [{ kind: 'enum' as const, name, statements: [] }]
  })
}

/** Parts one table's changes into what can be added beside what is there, and the rest. */
function split(change: TableDifference, difference: SchemaDifference) {
  const hasColumns = (names: readonly string[]) => names.every((name) => change.fromTable.hasColumn(name))
  // What an expression or a condition refers to is not known here, only whether any column is missing at all.
  const isWhole = Object.keys(change.addedColumns).length === 0
  const canIndex = ({ primary, columnNames, expression, where, include = [] }: IndexDef) =>
    !primary && hasColumns([...columnNames, ...include]) && (isWhole || (expression ?? where) === undefined)
  const canReference = (key: ForeignKey) =>
    hasColumns(key.columnNames) && referencedColumnsExist(key, change.fromTable, difference.fromSchema)
  const indexes = partition(change.addedIndexes, canIndex)
  const keys = partition(change.addedForeignKeys, canReference)
  const creatable = { ...noChange(change), addedIndexes: indexes.matching, addedForeignKeys: keys.matching }
  const rest = { ...change, addedIndexes: indexes.others, addedForeignKeys: keys.others }
  return {
    creatable: hasChanges(creatable) ? creatable : undefined,
    rest: hasChanges(rest) ? rest : undefined,
  }
}

/** A referenced table that is itself missing will be created first, with all its columns. */
function referencedColumnsExist(key: ForeignKey, self: TableDifference['fromTable'], schema: DatabaseSchema): boolean {
  const table = key.referencedTableName === self.getShortestName() ? self : schema.getTable(key.referencedTableName)
  return table === undefined || key.referencedColumnNames.every((name) => table.hasColumn(name))
}

function addedParts(table: string, { addedIndexes, addedForeignKeys }: TableDifference): SchemaObject[] {
  return [
    ...Object.keys(addedIndexes).map((name) => ({ kind: 'index' as const, name: `${table}.${name}` })),
    ...Object.keys(addedForeignKeys).map((name) => ({ kind: 'foreign key' as const, name: `${table}.${name}` })),
  ]
}

const collections = [
  'addedColumns',
  'changedColumns',
  'removedColumns',
  'renamedColumns',
  'addedIndexes',
  'changedIndexes',
  'removedIndexes',
  'renamedIndexes',
  'addedChecks',
  'changedChecks',
  'removedChecks',
  'addedTriggers',
  'changedTriggers',
  'removedTriggers',
  'addedPolicies',
  'removedPolicies',
  'addedForeignKeys',
  'changedForeignKeys',
  'removedForeignKeys',
] as const
const flags = ['changedComment', 'changedPartitioning', 'changedRlsEnabled', 'changedRlsForced'] as const

function noChange({ name, fromTable, toTable }: TableDifference): TableDifference {
  const empty = Object.fromEntries(collections.map((key) => [key, {}]))
  return { name, fromTable, toTable, ...empty } as TableDifference
}

function hasChanges(change: TableDifference): boolean {
  return (
    collections.some((key) => Object.keys(change[key]).length > 0) || flags.some((key) => change[key] !== undefined)
  )
}

function emptyLike({ fromSchema }: SchemaDifference): SchemaDifference {
  return {
    newNamespaces: new Set(),
    newNativeEnums: [],
    newTables: {},
    changedTables: {},
    removedTables: {},
    newViews: {},
    changedViews: {},
    removedViews: {},
    newRoutines: {},
    changedRoutines: {},
    removedRoutines: {},
    removedNamespaces: new Set(),
    removedNativeEnums: [],
    orphanedForeignKeys: [],
    fromSchema,
  }
}

function partition<T>(record: Record<string, T>, matches: (value: T) => boolean) {
  const entries = Object.entries(record)
  return {
    matching: Object.fromEntries(entries.filter(([, value]) => matches(value))),
    others: Object.fromEntries(entries.filter(([, value]) => !matches(value))),
  }
}

/** The one form in which an object is named: with its schema where that is not the default one. */
export function qualifiedName({ name, schema }: { name: string; schema?: string | undefined }): string {
  return schema === undefined || schema === 'public' ? name : `${schema}.${name}`
}
