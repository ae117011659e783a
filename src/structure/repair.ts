import { quoteName } from '../kernel/quoting.ts'
import { commentStatements, routine } from './comment.ts'
import type { StructureDifference } from './compare.ts'
import { parentOf, qualified } from './qualified.ts'
import { clauseSeparator, definitionText, type Structure, type StructureObject } from './structure-object.ts'

/**
 * The statements that make an object as it should be, where they are certain: none where a statement would need more than
 * the two definitions say, such as how the rows of a table are converted.
 *
 * @param desired the structure as it should be
 */
export function repairStatements(difference: StructureDifference, desired: Structure): readonly string[] {
  const object = difference.change === 'extra' ? difference.found : difference.expected
  if (object.kind === 'comment') {
    return commentStatements(object, difference.change === 'extra' ? undefined : object.definition, desired)
  }
  switch (difference.change) {
    case 'missing':
      return createStatement(difference.expected)
    case 'extra':
      return dropStatement(difference.found)
    case 'different':
      return alter(difference.expected, difference.found)
  }
}

function createStatement(object: StructureObject): readonly string[] {
  const { kind, name, definition } = object
  switch (kind) {
    case 'schema':
      return [`create schema ${quoteName(name)};`]
    case 'extension':
      return [`create extension ${quoteName(name)};`]
    case 'enum':
      return [`create type ${qualified(object)} as enum ${definitionText(object)};`]
    case 'column':
      return hasMarks(object)
        ? []
        : [`alter table ${parentOf(object)} add column ${quoteName(name)} ${definitionText(object)};`]
    case 'primary key':
    case 'unique':
    case 'exclusion':
    case 'check':
    case 'foreign key':
      return hasMarks(object)
        ? []
        : [`alter table ${parentOf(object)} add constraint ${quoteName(name)} ${definition};`]
    case 'index':
    case 'trigger':
    case 'rule':
    case 'statistics':
      return hasMarks(object) ? [] : [`${definition.replace(/;$/, '')};`]
    case 'function':
    case 'procedure':
      return [`${definition.trimEnd()};`]
    case 'policy':
      return [`create policy ${quoteName(name)} on ${parentOf(object)} ${definition};`]
    case 'row security':
      return definition === 'enabled' ? [`alter table ${parentOf(object)} enable row level security;`] : []
    case 'replica identity':
      return [`alter table ${parentOf(object)} replica identity ${definition};`]
    case 'view':
      if (definition.startsWith('materialized')) return []
      return isPlainView(object) ? [`create view ${qualified(object)} ${viewBody(object)}`] : []
    default:
      return []
  }
}

function dropStatement(object: StructureObject): readonly string[] {
  const { kind, name } = object
  switch (kind) {
    case 'schema':
      return [`drop schema ${quoteName(name)};`]
    case 'extension':
      return [`drop extension ${quoteName(name)};`]
    case 'table':
    case 'foreign table':
    case 'sequence':
    case 'domain':
      return [`drop ${kind} ${qualified(object)};`]
    case 'view':
      return [
        `drop ${object.definition.startsWith('materialized') ? 'materialized view' : 'view'} ${qualified(object)};`,
      ]
    case 'enum':
    case 'range':
    case 'composite type':
      return [`drop type ${qualified(object)};`]
    case 'column':
      return [`alter table ${parentOf(object)} drop column ${quoteName(name)};`]
    case 'primary key':
    case 'unique':
    case 'exclusion':
    case 'check':
    case 'foreign key':
      return [`alter table ${parentOf(object)} drop constraint ${quoteName(name)};`]
    case 'index':
      return [`drop index ${qualified(object)};`]
    case 'function':
    case 'procedure':
    case 'aggregate':
      return [`drop ${kind} ${routine(object)};`]
    case 'trigger':
    case 'rule':
    case 'policy':
      return [`drop ${kind} ${quoteName(name)} on ${parentOf(object)};`]
    case 'row security':
      return [`alter table ${parentOf(object)} disable row level security;`]
    case 'replica identity':
      return [`alter table ${parentOf(object)} replica identity default;`]
    default:
      return []
  }
}

function alter(expected: StructureObject, found: StructureObject): readonly string[] {
  switch (expected.kind) {
    case 'column':
      return alterColumn(expected, found)
    case 'function':
    case 'procedure':
      return createStatement(expected)
    case 'view':
      return isPlainView(expected) && isPlainView(found)
        ? [`create or replace view ${qualified(expected)} ${viewBody(expected)}`]
        : []
    case 'enum':
      return addValues(expected, found)
    case 'trigger':
      return switchTrigger(expected, found) ?? replace(expected, found)
    case 'check':
    case 'foreign key':
    case 'unique':
    case 'primary key':
    case 'exclusion':
      return validate(expected, found) ?? replace(expected, found)
    case 'index':
    case 'rule':
    case 'policy':
    case 'statistics':
      return replace(expected, found)
    case 'row security':
    case 'replica identity':
      return createStatement(expected)
    default:
      return []
  }
}

/** Drops the one and creates the other, where both are certain. */
function replace(expected: StructureObject, found: StructureObject): readonly string[] {
  const made = createStatement(expected)
  return made.length === 0 ? [] : [...dropStatement(found), ...made]
}

/** A constraint that merely was not checked yet. */
function validate(expected: StructureObject, found: StructureObject): readonly string[] | undefined {
  if (found.definition !== `${expected.definition} NOT VALID`) return undefined
  return [`alter table ${parentOf(expected)} validate constraint ${quoteName(expected.name)};`]
}

function switchTrigger(expected: StructureObject, found: StructureObject): readonly string[] | undefined {
  if (found.definition !== `${expected.definition} (disabled)`) return undefined
  return [`alter table ${parentOf(expected)} enable trigger ${quoteName(expected.name)};`]
}

/** New values of an enum, each before the one that follows it. A value is never taken away. */
function addValues(expected: StructureObject, found: StructureObject): readonly string[] {
  const [wanted, present] = [enumLabels(expected), enumLabels(found)]
  if (present.some((label, i) => wanted.filter((it) => present.includes(it))[i] !== label)) return []
  return wanted.flatMap((label, i) => {
    if (present.includes(label)) return []
    const next = wanted.slice(i + 1).find((it) => present.includes(it))
    return [`alter type ${qualified(expected)} add value ${label}${next === undefined ? '' : ` before ${next}`};`]
  })
}

/** Returns the labels of an enum as literals. */
export function enumLabels({ definition }: StructureObject): readonly string[] {
  return definition
    .slice(1, -1)
    .split(`,${clauseSeparator}`)
    .filter((label) => label !== '')
}

/** A column's clauses, by what changes them. */
interface ColumnClauses {
  readonly type: string
  readonly fallback: string | undefined
  readonly isRequired: boolean
  /** Its other properties, in PostgreSQL's order. */
  readonly rest: string
}

/** Splits the definition of a column. */
export function columnClauses({ definition }: StructureObject): ColumnClauses {
  const [type = '', ...others] = definition.split(clauseSeparator)
  const isDefault = (clause: string) => clause.startsWith('default ')
  return {
    type,
    fallback: others.find(isDefault),
    isRequired: others.includes('not null'),
    rest: others.filter((clause) => !isDefault(clause) && clause !== 'not null').join(clauseSeparator),
  }
}

function alterColumn(expected: StructureObject, found: StructureObject): readonly string[] {
  const [wanted, present] = [columnClauses(expected), columnClauses(found)]
  const isSerial = [wanted, present].some(({ type }) => type.endsWith('serial'))
  if (wanted.rest !== present.rest || (isSerial && wanted.type !== present.type)) return []
  const column = `alter table ${parentOf(expected)} alter column ${quoteName(expected.name)}`
  const statements: string[] = []
  if (wanted.type !== present.type) statements.push(`${column} type ${wanted.type};`)
  if (wanted.fallback !== present.fallback) {
    statements.push(`${column} ${wanted.fallback === undefined ? 'drop default' : `set ${wanted.fallback}`};`)
  }
  if (wanted.isRequired !== present.isRequired) {
    statements.push(`${column} ${wanted.isRequired ? 'set' : 'drop'} not null;`)
  }
  return statements
}

/** True if a definition ends in a remark of ours, which is no SQL: it is not valid, or switched off. */
function hasMarks({ definition }: StructureObject): boolean {
  const marks = [
    '(invalid)',
    '(not ready)',
    '(disabled)',
    '(always)',
    '(on replicas only)',
    '(replica identity)',
    '(clustered)',
  ]
  const isOdd = [...marks, '(its triggers are disabled)'].some((mark) => definition.endsWith(mark))
  return isOdd || definition.includes(`${clauseSeparator}storage `) || definition.includes('default nextval of its own')
}

const viewPrefix = 'view as'

function isPlainView({ definition }: StructureObject): boolean {
  return definition.startsWith(viewPrefix) && definition.endsWith(';')
}

function viewBody({ definition }: StructureObject): string {
  return definition.slice('view '.length)
}
