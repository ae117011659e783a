import { quoteName, quoteText } from '../kernel/quoting.ts'
import { parentOf, qualified } from './qualified.ts'
import type { Structure, StructureObject } from './structure-object.ts'

/**
 * Returns the statement that gives an object its comment, or none if the kind of the object is not among `structure`.
 *
 * @param comment a comment as an object of its own, whose name says what it is on
 * @param text undefined to remove it
 */
export function commentStatements(
  comment: StructureObject,
  text: string | undefined,
  structure: Structure,
): readonly string[] {
  const target = commentTarget(comment, structure)
  return target === undefined ? [] : [`comment on ${target} is ${text === undefined ? 'null' : quoteText(text)};`]
}

function commentTarget(comment: StructureObject, structure: Structure): string | undefined {
  const { schema, name, parent = '' } = comment
  const whole = structure.find((it) => it.parent === undefined && it.schema === schema && it.name === parent)
  if (name === 'comment') return wholeTarget(whole)
  const space = name.indexOf(' ')
  const [kind, own] = [name.slice(0, space), name.slice(space + 1)]
  if (kind === 'column') return `column ${parentOf(comment)}.${quoteName(own)}`
  if (kind === 'index') return `index ${qualified({ ...comment, name: own })}`
  return `${kind} ${quoteName(own)} on ${whole?.kind === 'domain' ? 'domain ' : ''}${parentOf(comment)}`
}

function wholeTarget(object: StructureObject | undefined): string | undefined {
  switch (object?.kind) {
    case 'view':
      return `${object.definition.startsWith('materialized') ? 'materialized view' : 'view'} ${qualified(object)}`
    case 'table':
    case 'foreign table':
    case 'sequence':
    case 'domain':
      return `${object.kind} ${qualified(object)}`
    case 'enum':
    case 'range':
    case 'composite type':
      return `type ${qualified(object)}`
    case 'function':
    case 'procedure':
    case 'aggregate':
      return `${object.kind} ${routine(object)}`
    default:
      return undefined
  }
}

/** Returns the quoted name of a routine, with the types of its arguments. */
export function routine(object: StructureObject): string {
  const end = object.name.indexOf('(')
  return `${qualified({ ...object, name: object.name.slice(0, end) })}${object.name.slice(end)}`
}
