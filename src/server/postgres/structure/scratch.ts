import { randomBytes } from 'node:crypto'
import { TenantryError, hasCode } from '../../../kernel/errors.ts'
import { type Identifier, parseIdentifier } from '../../../kernel/names.ts'
import { arrange, type Script } from '../../../structure/script.ts'
import type { Structure, StructureKind, StructureObject } from '../../../structure/structure-object.ts'
import type { Session } from '../../session.ts'
import type { BuiltStructure, ReadingSession } from '../../structure.ts'
import { doBlock, quoteIdentifier, quoteLiteral } from '../quoting.ts'
import { movedKinds } from './parse-schemaless.ts'
import { rareSql, schemalessSql } from './rare-sql.ts'
import { fixedSettings, sendAll, structureSql, toStructure, usualSql } from './read-structure.ts'
import { type CreatedNames, type MovedNames, spliceSchemas } from './splice.ts'

/** The lock timeout of the script's statements, which need locks on their own objects only. */
const lockTimeout = '2s'

/**
 * Builds a script in scratch schemas of the session's database, reads their structure, and rolls back: in one round trip.
 * Nobody sees them, and nobody waits for them. Since it is the very database, the script finds the extensions, types and
 * tables that it uses without declaring them, and literals mean what they mean there.
 *
 * If the role may not create schemas, and the models need no other than the default one, the session's temporary schema
 * takes its place: PostgreSQL finds no functions in it, and has no materialized views there.
 *
 * @returns undefined where a statement locked something that exists, so that it may have changed it
 * @throws `permission-denied`, and whatever a statement of the script fails with
 */
export async function buildInScratch(
  session: ReadingSession,
  script: Script,
  defaultSchema: string,
): Promise<BuiltStructure | undefined> {
  const created = createdNames(script, defaultSchema)
  const scratch = randomNames([...created.keys()])
  const moved = movedNames(script)
  try {
    const structure = await buildIn(session, { script, defaultSchema, created, scratch, moved })
    return structure && { structure, isQualified: true }
  } catch (error) {
    const isDenied = hasCode(error, 'permission-denied')
    if (!isDenied || created.size > 1 || !isTemporary(script)) throw error
    const temporary = new Map([[defaultSchema, 'pg_temp']])
    const structure = await buildIn(session, { script, defaultSchema, created, scratch: temporary, moved })
    return structure && { structure: structure.map(withoutTemporary), isQualified: false }
  }
}

/** Some definitions name the temporary schema, most leave it out. */
function withoutTemporary(object: StructureObject): StructureObject {
  return { ...object, definition: object.definition.replaceAll('pg_temp.', '') }
}

/** True if all that a script creates can be temporary. */
function isTemporary({ statements }: Script): boolean {
  return statements.every(
    ({ creates, isFixed }) =>
      isFixed !== true && creates.every(({ kind, schema }) => schema !== '' && !neverTemporary.has(kind)),
  )
}

const neverTemporary: ReadonlySet<StructureKind> = new Set([
  'function',
  'procedure',
  'aggregate',
  'trigger',
  'extension',
  'operator',
  'operator class',
  'operator family',
])

/** The place where a script is built. */
interface ScratchScript {
  readonly script: Script
  readonly defaultSchema: string
  readonly created: CreatedNames
  /** The schemas that take the place of the script's own. */
  readonly scratch: ReadonlyMap<string, string>
  /** The names that take the place of those that belong to no schema. */
  readonly moved: MovedNames
}

async function buildIn(
  session: ReadingSession,
  { script, defaultSchema, created, scratch, moved }: ScratchScript,
): Promise<Structure | undefined> {
  const own = scratch.get(defaultSchema) ?? ''
  const isTemporarySchema = own === 'pg_temp'
  const statements = await Promise.all(
    script.statements
      .filter(({ creates }) => creates.every(({ kind }) => kind !== 'schema'))
      .map(async ({ text, isFixed }) => {
        const spliced = await spliceSchemas(text, scratch, created, moved)
        return isFixed === true ? unlessThere(spliced) : spliced
      }),
  )
  const others = [...scratch, ...[...moved.values()].flatMap((names) => [...names])]
  const names = [...scratch.values()].map((name) => quoteLiteral(name)).join(', ')
  const isScratch = isTemporarySchema ? 'n.oid = pg_my_temp_schema()' : `n.nspname in (${names})`
  const path = [own, quoteIdentifier(parseIdentifier(defaultSchema, 'schema'))].join(', ')
  const results = await inRolledBackScript(session, [
    `set local lock_timeout = '${lockTimeout}'`,
    'set local check_function_bodies = off',
    ...(isTemporarySchema ? [] : [...scratch.values()].map((name) => `create schema ${name}`)),
    `set local search_path = ${path}`,
    ...statements,
    ...fixedSettings,
    structureSql(isScratch, [...usualSql, rareSql, ...(hasSchemaless(script) ? [schemalessSql] : [])]),
    lockedSql(isScratch),
    `select pg_my_temp_schema()::regnamespace::text as temporary, ${others.map(([name, other]) => `quote_ident(${quoteLiteral(name)}) as ${other}`).join(', ')}`,
  ])
  // A statement of the script may have a result as well, such as CREATE MATERIALIZED VIEW.
  const [rows, locked, quotedNames] = results.slice(-3)
  if (rows === undefined || (locked?.rows.length ?? 1) > 0) return undefined
  const quoted = (quotedNames?.rows[0] ?? {}) as Readonly<Record<string, string>>
  const back = others.map(([name, other]) => ({
    name,
    other: isTemporarySchema ? (quoted['temporary'] ?? other) : other,
    quoted: quoted[other] ?? name,
  }))
  return arrange(
    toStructure(rows.rows)
      .filter((object) => object.schema !== '' || isOwn(object, script, moved))
      .map((object) => renamedBack(object, back)),
    script,
  )
}

/** A name, its replacement in scratch, and the name as SQL writes it. */
interface Back {
  readonly name: string
  readonly other: string
  readonly quoted: string
}

/** Scratch names are random, so that a plain replacement is exact. */
function renamedBack(object: StructureObject, schemas: readonly Back[]): StructureObject {
  const raw = (text: string) => schemas.find(({ other }) => other === text)?.name ?? text
  const worded = (text: string) =>
    schemas.reduce((it, { other, quoted }) => (it.includes(other) ? it.replaceAll(other, quoted) : it), text)
  const { parent } = object
  return {
    ...object,
    schema: raw(object.schema),
    name: worded(raw(object.name)),
    ...(parent !== undefined && { parent: worded(raw(parent)) }),
    definition: worded(object.definition),
  }
}

function hasSchemaless({ statements }: Script): boolean {
  return statements.some(({ creates }) => creates.some(({ schema }) => schema === ''))
}

/** True if an object of no schema is one that the script created, rather than one of the live database. */
function isOwn({ kind, name }: StructureObject, { statements }: Script, moved: MovedNames): boolean {
  const names = moved.get(kind)
  if (names !== undefined) return [...names.values()].includes(name)
  return statements.some(({ creates }) =>
    creates.some((it) => it.schema === '' && it.kind === kind && it.name === name),
  )
}

/** Runs a statement, unless what it creates exists. */
function unlessThere(statement: string): string {
  return doBlock(`execute ${quoteLiteral(statement)}; exception when duplicate_object then null;`)
}

/** Random names in the order of the given ones: definitions list tables by their schemas. */
function randomNames(names: readonly string[]): ReadonlyMap<string, string> {
  const others = names.map(() => `tenantry_${randomBytes(8).toString('hex')}`).toSorted()
  return new Map(names.toSorted().map((name, i) => [name, others[i] as string]))
}

function movedNames({ statements }: Script): MovedNames {
  const created = statements.flatMap(({ creates }) => creates)
  return new Map(
    [...movedKinds.values()].map((kind) => [
      kind,
      randomNames(created.flatMap((it) => (it.kind === kind && it.schema === '' ? [it.name] : []))),
    ]),
  )
}

function createdNames({ statements }: Script, defaultSchema: string): CreatedNames {
  const names = new Map<string, Set<string>>([[defaultSchema, new Set()]])
  const add = (schema: string, name?: string) => {
    const known = names.get(schema) ?? new Set()
    names.set(schema, name === undefined ? known : known.add(name))
  }
  for (const { kind, schema, name, parent } of statements.flatMap(({ creates }) => creates)) {
    if (kind === 'extension' || schema === '') continue
    add(schema, kind === 'schema' || (parent !== undefined && kind !== 'index') ? undefined : name)
  }
  for (const { to } of statements.flatMap(({ renames = [] }) => renames)) {
    if (to.parent === undefined) add(to.schema, to.name)
  }
  return names
}

/** Relations outside the scratch schemas on which the transaction holds more than the lock of a reader. */
function lockedSql(isScratch: string): string {
  return `select l.relation from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
    where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.mode <> 'AccessShareLock'
      and l.database = (select oid from pg_database where datname = current_database())
      and not (${isScratch}) and n.nspname !~ '^pg_(catalog$|toast)' limit 1`
}

/** Sends statements in a transaction of their own that is rolled back, whatever the default of the session is. */
async function inRolledBackScript(session: ReadingSession, statements: readonly string[]) {
  try {
    return await sendAll(session, ['begin isolation level read committed, read write', ...statements, 'rollback'])
  } catch (error) {
    if (error instanceof TenantryError && error.code !== 'connection-lost') await session.query('rollback')
    throw error
  }
}

/** Stores a text in the comment of a schema of ours, where every role can read it. A role that may not goes on without. */
export async function remember(session: Session, schema: string, text: string): Promise<void> {
  const name = quoteIdentifier(schema as Identifier)
  const statements = [`create schema if not exists ${name}`, `comment on schema ${name} is ${quoteLiteral(text)}`]
  await session.query('savepoint remembering')
  try {
    await session.script([...statements, 'release remembering'])
  } catch (error) {
    if (!(error instanceof TenantryError) || error.code === 'connection-lost') throw error
    await session.query('rollback to remembering')
  }
}
