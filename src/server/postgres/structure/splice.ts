import type { Node, ScanToken } from 'libpg-query'
import type { StructureKind } from '../../../structure/structure-object.ts'
import { movedKinds } from './parse-schemaless.ts'
import { parser } from './parser.ts'

/** The schemas of a script, by their names, with what it creates in each. */
export type CreatedNames = ReadonlyMap<string, ReadonlySet<string>>

/** The new names of objects of no schema, by their kinds and old names. */
export type MovedNames = ReadonlyMap<StructureKind, ReadonlyMap<string, string>>

/**
 * Puts other schemas in place of those of a statement, and other names of objects that belong to none, wherever it names
 * something that its script creates. Everything else stays as it was written, to the byte.
 *
 * @param schemas the new names, by the old ones; no name of either needs quotes where it is new
 */
export async function spliceSchemas(
  statement: string,
  schemas: ReadonlyMap<string, string>,
  created: CreatedNames,
  moved: MovedNames,
): Promise<string> {
  const { parseSync, scanSync } = await parser()
  const bytes = Buffer.from(statement)
  const { tokens } = scanSync(statement)
  const { columns, literals, schemaNames, isAboutSchema } = placesIn(parseSync(statement).stmts)
  const isCreated = (schema: string, name: string) => created.get(schema)?.has(name) === true
  const pieces: Buffer[] = []
  let done = 0
  const put = ({ start, end }: ScanToken, text: string) => {
    pieces.push(bytes.subarray(done, start), Buffer.from(text))
    done = end
  }
  for (const [i, token] of tokens.entries()) {
    const [before, dot, name] = [tokens[i - 1], tokens[i + 1], tokens[i + 2]]
    const schema = nameOf(token)
    const plain = schema === undefined ? undefined : namesBefore(tokens, i, moved)?.get(schema)
    const other = schema === undefined ? undefined : schemas.get(schema)
    if (plain !== undefined) put(token, plain)
    else if (schema !== undefined && other !== undefined && before?.text !== '.') {
      const next = dot?.text === '.' ? name && nameOf(name) : undefined
      const isColumn = columns.has(token.start)
      if (next !== undefined && isCreated(schema, next) && !isColumn) put(token, other)
      else if (schemaNames.has(token.start)) put(token, other)
      else if (isAboutSchema && before?.text.toLowerCase() === 'schema') put(token, other)
    } else if (literals.has(token.start)) {
      const path = splitPath(token.text.slice(1, -1))
      const place = path && isCreated(path.schema, path.name) ? schemas.get(path.schema) : undefined
      if (path !== undefined && place !== undefined) put(token, `'${place}.${path.rest}'`)
    }
  }
  return Buffer.concat([...pieces, bytes.subarray(done)]).toString()
}

const optional = new Set(['if', 'not', 'exists'])

/** Returns the new names of the kind that the words before a token state. */
function namesBefore(tokens: readonly ScanToken[], at: number, moved: MovedNames) {
  const words = tokens.slice(Math.max(0, at - 5), at).map(({ text }) => text.toLowerCase())
  const [first, second] = words.filter((word) => !optional.has(word)).toReversed()
  const kind = movedKinds.get(first ?? '') ?? movedKinds.get(`${second} ${first}`)
  return kind && moved.get(kind)
}

/** The byte offsets in a statement of references to columns, of literals that name a relation, and of names of schemas. */
interface Places {
  readonly columns: Set<number>
  readonly literals: Set<number>
  readonly schemaNames: Set<number>
  isAboutSchema: boolean
}

function placesIn(tree: unknown): Places {
  const places: Places = { columns: new Set(), literals: new Set(), schemaNames: new Set(), isAboutSchema: false }
  visit(tree, places)
  return places
}

const sequenceFunctions = new Set(['nextval', 'currval', 'setval', 'to_regclass'])

function visit(value: unknown, places: Places): void {
  if (Array.isArray(value)) for (const it of value) visit(it, places)
  else if (typeof value === 'object' && value !== null) {
    const node = value as Node
    if ('ColumnRef' in node && node.ColumnRef.fields?.length === 2) places.columns.add(node.ColumnRef.location ?? 0)
    if ('FuncCall' in node && sequenceFunctions.has(lastName(node.FuncCall.funcname))) {
      for (const argument of node.FuncCall.args ?? []) noteLiteral(argument, places)
    }
    if ('TypeCast' in node && lastName(node.TypeCast.typeName?.names).startsWith('reg')) {
      noteLiteral(node.TypeCast.arg, places)
    }
    if ('PublicationObjSpec' in node && node.PublicationObjSpec.pubobjtype === 'PUBLICATIONOBJ_TABLES_IN_SCHEMA') {
      places.schemaNames.add(node.PublicationObjSpec.location ?? 0)
    }
    if (('CommentStmt' in node && node.CommentStmt.objtype === 'OBJECT_SCHEMA') || isGrantOnSchema(node)) {
      places.isAboutSchema = true
    }
    for (const it of Object.values(value)) visit(it, places)
  }
}

function isGrantOnSchema(node: Node): boolean {
  return 'GrantStmt' in node && node.GrantStmt.objtype === 'OBJECT_SCHEMA'
}

function noteLiteral(node: Node | undefined, { literals }: Places): void {
  if (node !== undefined && 'A_Const' in node && node.A_Const.sval) literals.add(node.A_Const.location ?? 0)
}

function lastName(names: readonly Node[] | undefined): string {
  const last = names?.at(-1)
  return last !== undefined && 'String' in last ? (last.String.sval ?? '') : ''
}

/** The name that a token stands for; undefined for one that is no name. */
function nameOf({ text, keywordName }: ScanToken): string | undefined {
  if (text.startsWith('"')) return text.slice(1, -1).replaceAll('""', '"')
  if (keywordName === 'RESERVED_KEYWORD' || !/^[\p{L}_]/u.test(text)) return undefined
  return text.toLowerCase()
}

/** A qualified name in a literal, and its part after the schema as it is written. */
function splitPath(text: string): { schema: string; name: string; rest: string } | undefined {
  const end = text.startsWith('"') ? text.indexOf('".') + 1 : text.indexOf('.')
  if (end <= 0) return undefined
  const unquoted = (part: string) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase()
  const rest = text.slice(end + 1)
  return { schema: unquoted(text.slice(0, end)), name: unquoted(rest), rest }
}
