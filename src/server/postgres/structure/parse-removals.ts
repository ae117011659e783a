import type { Node, RangeVar } from 'libpg-query'
import type { ObjectPlace, ScriptStatement } from '../../../structure/script.ts'
import type { Names } from './parse-names.ts'
import { schemalessTypes } from './parse-schemaless.ts'

/** Returns what a statement drops, renames or puts into another schema. */
export function removalsOf(node: Node, names: Names): Pick<ScriptStatement, 'removes' | 'renames'> {
  if ('DropStmt' in node) {
    const { removeType = '', objects = [] } = node.DropStmt
    return { removes: objects.flatMap((object) => dropped(object, removeType, names)) }
  }
  if ('AlterTableStmt' in node) {
    const { relation, cmds = [] } = node.AlterTableStmt
    const { schema, name: parent } = names.relation(relation)
    const removes = cmds.flatMap((cmd) => {
      const { subtype, name, def } = 'AlterTableCmd' in cmd ? cmd.AlterTableCmd : {}
      // A constraint that takes an index gives it its own name.
      const index = def !== undefined && 'Constraint' in def ? def.Constraint.indexname : undefined
      if (index !== undefined) return [{ schema, name: index }]
      return subtype === 'AT_DropConstraint' && name !== undefined ? [{ schema, name, parent }] : []
    })
    return removes.length > 0 ? { removes } : {}
  }
  if ('AlterObjectSchemaStmt' in node) {
    const { relation, object, newschema = '' } = node.AlterObjectSchemaStmt
    const from = relation === undefined ? whole(object, names) : names.relation(relation)
    return from === undefined ? {} : { renames: [{ from, to: { ...from, schema: newschema } }] }
  }
  if (!('RenameStmt' in node)) return {}
  const { renameType = '', relation, object, subname, newname = '' } = node.RenameStmt
  if (renameType === 'OBJECT_COLUMN' || renameType === 'OBJECT_ATTRIBUTE') return {}
  const of = relation === undefined ? whole(object, names) : names.relation(relation)
  if (of === undefined) return {}
  const from = partsOfTables.has(renameType) ? { schema: of.schema, name: subname ?? '', parent: of.name } : of
  return { renames: [{ from, to: { ...from, name: newname } }] }
}

/** Returns the table of which a statement removes or changes every row. */
export function clearingOf(node: Node, names: Names): Pick<ScriptStatement, 'clears'> {
  const table = clearedTable(node)
  if (table === undefined) return {}
  const { schema, name } = names.relation(table)
  return { clears: `${schema}.${name}` }
}

function clearedTable(node: Node): RangeVar | undefined {
  if ('TruncateStmt' in node) {
    const [first] = node.TruncateStmt.relations ?? []
    return first !== undefined && 'RangeVar' in first ? first.RangeVar : undefined
  }
  const { relation, whereClause } = 'DeleteStmt' in node ? node.DeleteStmt : 'UpdateStmt' in node ? node.UpdateStmt : {}
  return whereClause === undefined ? relation : undefined
}

/** The kinds of objects whose names are preceded by that of their table. */
const partsOfTables = new Set(['OBJECT_TRIGGER', 'OBJECT_POLICY', 'OBJECT_RULE', 'OBJECT_TABCONSTRAINT'])

function dropped(object: Node, type: string, names: Names): readonly ObjectPlace[] {
  if (type === 'OBJECT_SCHEMA') {
    const name = 'String' in object ? (object.String.sval ?? '') : ''
    return [{ schema: name, name }]
  }
  const kind = schemalessTypes.get(type)
  if (kind !== undefined) return [{ kind, schema: '', name: 'String' in object ? (object.String.sval ?? '') : '' }]
  if (!partsOfTables.has(type) || !('List' in object)) {
    const place = whole(object, names)
    return place === undefined ? [] : [place]
  }
  const { items = [] } = object.List
  const { schema, name: parent } = names.path(items.slice(0, -1))
  const { name } = names.path(items.slice(-1))
  return [{ schema, name, parent }]
}

/** Returns the place of an object that is no part of a table. */
function whole(object: Node | undefined, names: Names): ObjectPlace | undefined {
  if (object === undefined) return undefined
  if ('List' in object) return names.path(object.List.items)
  if ('TypeName' in object) return names.path(object.TypeName.names)
  return 'ObjectWithArgs' in object ? names.path(object.ObjectWithArgs.objname) : undefined
}
