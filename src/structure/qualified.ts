import { quoteName } from '../kernel/quoting.ts'
import type { StructureObject } from './structure-object.ts'

/** Returns the quoted name of an object with its schema. */
export function qualified({ schema, name }: StructureObject): string {
  return `${quoteName(schema)}.${quoteName(name)}`
}

/** Returns the quoted name of the table that a part belongs to. */
export function parentOf({ schema, parent = '' }: StructureObject): string {
  return `${quoteName(schema)}.${quoteName(parent)}`
}
