import type { Constraint, Node, ParseResult, RangeVar } from 'libpg-query'
import { TenantryError, messageOf } from '../../../kernel/errors.ts'
import type { Script, ScriptObject, ScriptStatement } from '../../../structure/script.ts'
import type { StructureKind } from '../../../structure/structure-object.ts'
import { Names, type Place } from './parse-names.ts'
import { clearingOf, removalsOf } from './parse-removals.ts'
import { schemalessOf, schemalessTypes } from './parse-schemaless.ts'
import { parser } from './parser.ts'
import { withoutConcurrently } from './without-concurrently.ts'

/**
 * Reads from PostgreSQL's parse tree what each statement of a script creates.
 *
 * @param defaultSchema the schema of names without one
 * @throws `models-invalid` with the statement that is no SQL
 */
export async function parseScript(statements: readonly string[], defaultSchema: string): Promise<Script> {
  const { parseSync } = await parser()
  const statedNames = new Set<string>()
  const names = new Names(defaultSchema)
  // The parser refuses an empty text, which PostgreSQL allows.
  const plain = await Promise.all(statements.filter((it) => it.trim() !== '').map(withoutConcurrently))
  const read = plain.flatMap((statement) => {
    let parsed: ParseResult
    try {
      parsed = parseSync(statement)
    } catch (error) {
      throw notSqlError(statement, error)
    }
    const bytes = Buffer.from(statement)
    return (parsed.stmts ?? []).flatMap(({ stmt, stmt_location: start = 0, stmt_len: length }) => {
      if (stmt === undefined) return []
      const text = bytes.subarray(start, length ? start + length : undefined).toString()
      for (const name of namesIn(stmt, ['conname', 'idxname'])) statedNames.add(name)
      if ('TransactionStmt' in stmt) throw transactionError(text.trim())
      const about = { ...aboutOf(stmt, names), ...removalsOf(stmt, names), ...clearingOf(stmt, names) }
      return [{ text: text.trim(), mentions: namesIn(stmt, ['sval', 'name']), ...about }]
    })
  })
  return { statements: read, statedNames }
}

function notSqlError(statement: string, error: unknown): TenantryError {
  const reason = messageOf(error)
  return new TenantryError('models-invalid', `The models make a statement that is no SQL: ${reason}: ${statement}`, {
    cause: error,
    hint: 'Look for a default, a check or an expression with a quote in it: raw SQL must quote its literals itself.',
  })
}

function transactionError(statement: string): TenantryError {
  return new TenantryError(
    'models-invalid',
    `The models make a statement that begins or ends a transaction: ${statement}`,
    {
      hint: 'Take it out: all statements run in one transaction.',
    },
  )
}

type About = Omit<ScriptStatement, 'text' | 'mentions'>

const nothing: About = { creates: [], refersTo: [] }

function aboutOf(node: Node, names: Names): About {
  return (
    objectOf(node, names) ??
    relationOf(node, names) ??
    partOf(node, names) ??
    schemalessOf(node) ??
    alterationOf(node, names) ??
    nothing
  )
}

function created(kind: StructureKind, { schema, name }: Place, refersTo: readonly Place[] = []): About {
  return { creates: [{ kind, schema, name }], refersTo }
}

/** Returns the object of a statement that creates something other than a relation. */
function objectOf(node: Node, names: Names): About | undefined {
  if ('CreateSchemaStmt' in node) {
    const { schemaname: name = '' } = node.CreateSchemaStmt
    return created('schema', { schema: name, name })
  }
  if ('CreateExtensionStmt' in node) {
    const { extname: name = '' } = node.CreateExtensionStmt
    return created('extension', { schema: name, name })
  }
  if ('CreateEnumStmt' in node) return created('enum', names.path(node.CreateEnumStmt.typeName))
  if ('CreateDomainStmt' in node) return created('domain', names.path(node.CreateDomainStmt.domainname))
  if ('CreateRangeStmt' in node) return created('range', names.path(node.CreateRangeStmt.typeName))
  if ('DefineStmt' in node) {
    const kind = definedKinds[node.DefineStmt.kind ?? '']
    return kind && created(kind, names.path(node.DefineStmt.defnames))
  }
  if ('CreateConversionStmt' in node)
    return created('conversion', names.path(node.CreateConversionStmt.conversion_name))
  if ('CreateOpClassStmt' in node) {
    const { opclassname, amname = '' } = node.CreateOpClassStmt
    const { schema, name } = names.path(opclassname)
    return created('operator class', { schema, name: `${name} using ${amname}` })
  }
  if ('CreateOpFamilyStmt' in node) {
    const { opfamilyname, amname = '' } = node.CreateOpFamilyStmt
    const { schema, name } = names.path(opfamilyname)
    return created('operator family', { schema, name: `${name} using ${amname}` })
  }
  if ('CreateFunctionStmt' in node) {
    const { funcname, is_procedure: isProcedure } = node.CreateFunctionStmt
    return created(isProcedure ? 'procedure' : 'function', names.path(funcname))
  }
  return undefined
}

const definedKinds: Readonly<Record<string, StructureKind>> = {
  OBJECT_AGGREGATE: 'aggregate',
  OBJECT_COLLATION: 'collation',
  OBJECT_OPERATOR: 'operator',
  OBJECT_TSCONFIGURATION: 'text search configuration',
  OBJECT_TSDICTIONARY: 'text search dictionary',
  OBJECT_TSPARSER: 'text search parser',
  OBJECT_TSTEMPLATE: 'text search template',
  OBJECT_TYPE: 'type',
}

function relationOf(node: Node, names: Names): About | undefined {
  if ('CreateStmt' in node) {
    const { relation, tableElts = [] } = node.CreateStmt
    if (isOfSession(relation)) return nothing
    const keys = tableElts.flatMap(constraintsOf).flatMap(referred)
    return created(
      'table',
      names.relation(relation),
      keys.map((key) => names.relation(key)),
    )
  }
  if ('CreateForeignTableStmt' in node) {
    return created('foreign table', names.relation(node.CreateForeignTableStmt.base?.relation))
  }
  if ('ViewStmt' in node) return created('view', names.relation(node.ViewStmt.view))
  if ('CreateTableAsStmt' in node) {
    const { into, objtype } = node.CreateTableAsStmt
    if (isOfSession(into?.rel)) return nothing
    return created(objtype === 'OBJECT_MATVIEW' ? 'view' : 'table', names.relation(into?.rel))
  }
  if ('CreateSeqStmt' in node) return created('sequence', names.relation(node.CreateSeqStmt.sequence))
  if ('CompositeTypeStmt' in node) return created('composite type', names.relation(node.CompositeTypeStmt.typevar))
  return undefined
}

/** True for a table of the session alone, which leaves nothing. */
function isOfSession(relation: RangeVar | undefined): boolean {
  return relation?.relpersistence === 't'
}

/** Returns the object of a statement that creates a part of a table. */
function partOf(node: Node, names: Names): About | undefined {
  const part = (kind: StructureKind, name: string | undefined, relation: RangeVar | undefined): About => {
    const of = names.relation(relation)
    return { creates: name ? [{ kind, schema: of.schema, name, parent: of.name }] : [], of, refersTo: [] }
  }
  if ('IndexStmt' in node) return part('index', node.IndexStmt.idxname, node.IndexStmt.relation)
  if ('CreateTrigStmt' in node) return part('trigger', node.CreateTrigStmt.trigname, node.CreateTrigStmt.relation)
  if ('CreatePolicyStmt' in node) return part('policy', node.CreatePolicyStmt.policy_name, node.CreatePolicyStmt.table)
  if ('CreateStatsStmt' in node) {
    const { defnames, relations: [of] = [] } = node.CreateStatsStmt
    const { schema, name } = names.path(defnames)
    return of !== undefined && 'RangeVar' in of ? part('statistics', `${schema}.${name}`, of.RangeVar) : undefined
  }
  if ('RuleStmt' in node) return part('rule', node.RuleStmt.rulename, node.RuleStmt.relation)
  return undefined
}

/** Returns the object of a statement that alters or comments on something. */
function alterationOf(node: Node, names: Names): About | undefined {
  if ('CommentStmt' in node) return commented(node.CommentStmt.object, node.CommentStmt.objtype, names)
  if ('AlterSeqStmt' in node) return { ...nothing, of: names.relation(node.AlterSeqStmt.sequence) }
  if (!('AlterTableStmt' in node)) return undefined
  const { relation, cmds = [] } = node.AlterTableStmt
  const constraints = cmds.flatMap((cmd) => {
    const { def } = 'AlterTableCmd' in cmd ? cmd.AlterTableCmd : {}
    return def !== undefined && 'Constraint' in def ? [def.Constraint] : []
  })
  const of = names.relation(relation)
  return {
    creates: constraints.flatMap(({ conname, contype = '' }): ScriptObject[] => {
      const kind = constraintKinds[contype]
      return conname && kind ? [{ kind, schema: of.schema, name: conname, parent: of.name }] : []
    }),
    of,
    refersTo: constraints.flatMap(referred).map((key) => names.relation(key)),
  }
}

const constraintKinds: Readonly<Record<string, StructureKind>> = {
  CONSTR_PRIMARY: 'primary key',
  CONSTR_UNIQUE: 'unique',
  CONSTR_CHECK: 'check',
  CONSTR_FOREIGN: 'foreign key',
  CONSTR_EXCLUSION: 'exclusion',
}

/** The kinds of objects of which the last name that a comment names is a part. */
const partsCommented = new Set([
  'OBJECT_COLUMN',
  'OBJECT_TABCONSTRAINT',
  'OBJECT_TRIGGER',
  'OBJECT_POLICY',
  'OBJECT_RULE',
])

function commented(object: Node | undefined, type: string | undefined, names: Names): About {
  if (object === undefined) return nothing
  if ('List' in object) {
    const { items = [] } = object.List
    return { ...nothing, of: names.path(partsCommented.has(type ?? '') ? items.slice(0, -1) : items) }
  }
  if ('TypeName' in object) return { ...nothing, of: names.path(object.TypeName.names) }
  if ('ObjectWithArgs' in object) return { ...nothing, of: names.path(object.ObjectWithArgs.objname) }
  if (!('String' in object)) return nothing
  const name = object.String.sval ?? ''
  const kind = schemalessTypes.get(type ?? '')
  return { ...nothing, of: kind === undefined ? { schema: name, name } : { kind, schema: '', name } }
}

function constraintsOf(node: Node): Constraint[] {
  if ('Constraint' in node) return [node.Constraint]
  return 'ColumnDef' in node ? (node.ColumnDef.constraints ?? []).flatMap(constraintsOf) : []
}

function referred({ pktable }: Constraint): RangeVar[] {
  return pktable === undefined ? [] : [pktable]
}

/** Returns the texts of these fields, anywhere in a parse tree. */
function namesIn(value: unknown, fields: readonly string[], names = new Set<string>()): ReadonlySet<string> {
  if (typeof value !== 'object' || value === null) return names
  for (const [key, it] of Object.entries(value)) {
    if (fields.includes(key) && typeof it === 'string') names.add(it)
    else namesIn(it, fields, names)
  }
  return names
}
