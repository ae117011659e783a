import type { Node } from 'libpg-query'
import type { ScriptStatement } from '../../../structure/script.ts'
import type { SchemalessKind } from '../../../structure/structure-object.ts'

/** The kinds of objects of no schema whose names scratch replaces, by the words before a name. */
export const movedKinds: ReadonlyMap<string, SchemalessKind> = new Map([
  ['publication', 'publication'],
  ['event trigger', 'event trigger'],
  ['data wrapper', 'foreign data wrapper'],
  ['server', 'foreign server'],
])

/** The types of objects of no schema, as DROP and COMMENT call them. */
export const schemalessTypes: ReadonlyMap<string, SchemalessKind> = new Map([
  ['OBJECT_PUBLICATION', 'publication'],
  ['OBJECT_EVENT_TRIGGER', 'event trigger'],
  ['OBJECT_FDW', 'foreign data wrapper'],
  ['OBJECT_FOREIGN_SERVER', 'foreign server'],
  ['OBJECT_ACCESS_METHOD', 'access method'],
  ['OBJECT_LANGUAGE', 'language'],
])

/** Returns what a statement is about that creates or alters an object of no schema. */
export function schemalessOf(node: Node): Omit<ScriptStatement, 'text' | 'mentions'> | undefined {
  if ('CreatePublicationStmt' in node) return createdSchemaless('publication', node.CreatePublicationStmt.pubname)
  if ('CreateEventTrigStmt' in node) return createdSchemaless('event trigger', node.CreateEventTrigStmt.trigname)
  if ('CreateFdwStmt' in node) return createdSchemaless('foreign data wrapper', node.CreateFdwStmt.fdwname)
  if ('CreateForeignServerStmt' in node)
    return createdSchemaless('foreign server', node.CreateForeignServerStmt.servername)
  if ('CreateAmStmt' in node) return { ...createdSchemaless('access method', node.CreateAmStmt.amname), isFixed: true }
  if ('CreatePLangStmt' in node) return { ...createdSchemaless('language', node.CreatePLangStmt.plname), isFixed: true }
  if (nameless.some((it) => it in node)) return { creates: [], refersTo: [], isFixed: true }
  if ('AlterPublicationStmt' in node) return altered('publication', node.AlterPublicationStmt.pubname)
  if ('AlterEventTrigStmt' in node) return altered('event trigger', node.AlterEventTrigStmt.trigname)
  if ('AlterFdwStmt' in node) return altered('foreign data wrapper', node.AlterFdwStmt.fdwname)
  if ('AlterForeignServerStmt' in node) return altered('foreign server', node.AlterForeignServerStmt.servername)
  return undefined
}

/** Statements whose objects have no name of their own, or belong to no database. */
const nameless = ['CreateCastStmt', 'CreateTransformStmt', 'CreateUserMappingStmt', 'CreateRoleStmt']

function createdSchemaless(kind: SchemalessKind, name = '') {
  return { creates: [{ kind, schema: '', name }], refersTo: [] }
}

function altered(kind: SchemalessKind, name = '') {
  return { creates: [], of: { kind, schema: '', name }, refersTo: [] }
}
