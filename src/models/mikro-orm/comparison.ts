import type { MikroORM } from '@mikro-orm/postgresql'
import { DatabaseSchema, SchemaComparator, type SchemaDifference, SqlSchemaGenerator } from '@mikro-orm/sql'
import { TenantryError } from '../../kernel/errors.ts'
import type { Session } from '../../server/port.ts'
import type { Comparison, SchemaObject } from '../port.ts'
import { askingCatalogs } from './catalog-relations.ts'
import { differencesOf, qualifiedName } from './differences.ts'
import { TenantConnection } from './tenant-connection.ts'

/**
 * Compares what a database has with what the entities declare, by MikroORM's own comparator.
 *
 * MikroORM alone would drop what the entities do not mention, other services' tables included, and its update creates
 * databases. So only its parts are used, and what it reads is first reduced to what the entities know.
 */
export async function compareSchema(orm: MikroORM, session: Session): Promise<Comparison> {
  const wanted = wantedSchema(orm)
  const actual = await readSchema(orm, session, wanted)
  const difference = new SchemaComparator(orm.driver.getPlatform()).compare(actual, wanted)
  const toSql = (part: SchemaDifference) => statementsOf(orm, part)
  const { missing, toCreate, differing } = differencesOf(difference, actual, wanted, toSql)
  const listed = new Set([...missing, ...differing].map(keyOf))
  const existing = objectsOf(wanted).filter((object) => !listed.has(keyOf(object)))
  return { existing, missing, differing, createStatements: toSql(toCreate) }
}

/** The statements that make the desired schema in an empty database. */
export async function createStatements(orm: MikroORM): Promise<readonly string[]> {
  const generator = new StatementGenerator(orm.em)
  await generator.getCreateSchemaSQL({ wrap: false })
  return generator.statements
}

function wantedSchema(orm: MikroORM): DatabaseSchema {
  const schema = new SqlSchemaGenerator(orm.em).getTargetSchema()
  // Tables of the wildcard schema belong to schemas chosen at run time, not to the database's own desired state.
  const wildcardTables = [...orm.getMetadata().getAll().values()].filter((meta) => meta.schema === '*')
  schema.prune(
    undefined,
    wildcardTables.map((meta) => meta.tableName),
  )
  return schema
}

/** Reads the live schema, reduced to what the entities know. */
async function readSchema(orm: MikroORM, session: Session, wanted: DatabaseSchema): Promise<DatabaseSchema> {
  const platform = orm.driver.getPlatform()
  const connection = new ComparingConnection(orm, session.asPool())
  const namespaces = wanted.getNamespaces()
  const tables = wanted.getTables().map((table) => table.name)
  try {
    const actual = await DatabaseSchema.create(connection, platform, orm.config, undefined, namespaces, tables)
    if (wanted.getRoutines().length > 0) await actual.loadRoutines(connection, platform, namespaces)
    const present = await platform.getSchemaHelper()?.getNamespaces(connection)
    reduce(actual, wanted, new Set(present))
    return actual
  } catch (error) {
    throw rootCause(error)
  }
}

/** A connection on which MikroORM sees the whole schema, whatever the role may do with it. */
class ComparingConnection extends TenantConnection {
  override execute: TenantConnection['execute'] = (query, ...rest) =>
    super.execute(typeof query === 'string' ? askingCatalogs(query) : query, ...rest)
}

function reduce(actual: DatabaseSchema, wanted: DatabaseSchema, present: ReadonlySet<string>): void {
  actual.setTables(actual.getTables().filter((table) => wanted.hasTable(table.getShortestName(false))))
  actual.setViews(actual.getViews().filter((view) => wanted.hasView(qualifiedName(view))))
  const enums = Object.entries(actual.getNativeEnums()).filter(([name]) => wanted.hasNativeEnum(name))
  actual.setNativeEnums(Object.fromEntries(enums))
  actual.setNamespaces(new Set(wanted.getNamespaces().filter((name) => present.has(name))))
}

/** MikroORM wraps what the driver throws; ours has more to say. */
function rootCause(error: unknown): unknown {
  if (error instanceof TenantryError || !(error instanceof Error)) return error
  const inner = 'cause' in error ? error.cause : undefined
  const previous = inner ?? ('previous' in error ? error.previous : undefined)
  return previous instanceof TenantryError ? previous : error
}

function statementsOf(orm: MikroORM, difference: SchemaDifference): string[] {
  const generator = new StatementGenerator(orm.em)
  generator.diffToSQL(difference, { wrap: false, safe: false, dropTables: false })
  return generator.statements
}

/** MikroORM's generator, with the statements as it makes them, before it joins them into one text. */
class StatementGenerator extends SqlSchemaGenerator {
  statements: string[] = []

  constructor(em: ConstructorParameters<typeof SqlSchemaGenerator>[0]) {
    super(em)
    Object.defineProperty(this, 'wrapSchema', {
      value: (sql: string[]) => {
        this.statements = sql.map((statement) => statement.trim()).filter((statement) => statement !== '')
        return this.statements.join('\n')
      },
    })
  }
}

function objectsOf(schema: DatabaseSchema): SchemaObject[] {
  return [
    ...Object.keys(schema.getNativeEnums()).map((name) => ({ kind: 'enum' as const, name })),
    ...schema.getTables().map((table) => ({ kind: 'table' as const, name: table.getShortestName() })),
    ...schema.getViews().map((view) => ({ kind: 'view' as const, name: qualifiedName(view) })),
    ...schema.getRoutines().map((routine) => ({ kind: 'routine' as const, name: qualifiedName(routine) })),
  ]
}

function keyOf({ kind, name }: SchemaObject): string {
  return `${kind} ${name}`
}
