import { type DrizzleConfig, is, SQL } from 'drizzle-orm'
import {
  ForeignKey,
  getMaterializedViewConfig,
  getTableConfig,
  getViewConfig,
  isPgEnum,
  isPgMaterializedView,
  isPgSchema,
  isPgSequence,
  isPgView,
  PgArray,
  PgColumn,
  PgDialect,
  PgEnumColumn,
  PgPolicy,
  PgRole,
  PgTable,
} from 'drizzle-orm/pg-core'
import { TenantryError } from '../../kernel/errors.ts'

/** The kit's format of snapshots. Other versions make other constraints of the same tables. */
const snapshots = 7

/**
 * Describes all that a schema declares, as text: the same in every process, whatever the order of its exports. Values
 * that change nothing in a database, such as relations, are left out.
 *
 * @throws `models-invalid` if it declares no table
 */
export function describeDeclared(schema: Record<string, unknown>, casing: DrizzleConfig['casing']): string {
  const declared = Object.values(schema)
  if (!declared.some((it) => is(it, PgTable))) throw noTablesError()
  const texts = declared.flatMap((it) => {
    const described = describeExport(it)
    return described === undefined ? [] : [JSON.stringify(jsonOf(described))]
  })
  return JSON.stringify([snapshots, casing, [...new Set(texts)].toSorted()])
}

function describeExport(it: unknown): object | undefined {
  if (is(it, PgTable)) {
    const { columns, ...others } = getTableConfig(it)
    return { kind: 'table', ...others, columns: columns.map(describeColumn) }
  }
  if (isPgView(it)) return { kind: 'view', ...withoutFields(getViewConfig(it)) }
  if (isPgMaterializedView(it)) return { kind: 'materialized view', ...withoutFields(getMaterializedViewConfig(it)) }
  if (isPgEnum(it)) return { kind: 'enum', schema: it.schema, name: it.enumName, values: it.enumValues }
  if (isPgSchema(it)) return { kind: 'schema', name: it.schemaName }
  if (isPgSequence(it)) return { kind: 'sequence', of: it }
  if (is(it, PgRole)) return { kind: 'role', of: it }
  if (is(it, PgPolicy)) return { kind: 'policy', of: it }
  return undefined
}

function withoutFields({ selectedFields: _, ...others }: { readonly selectedFields: unknown }): object {
  return others
}

function describeColumn(column: PgColumn): object {
  const { name, keyAsName, notNull, default: value, primary, isUnique, uniqueName, uniqueType } = column
  const { generated, generatedIdentity } = column
  return {
    name,
    keyAsName,
    notNull,
    default: value,
    primary,
    isUnique,
    uniqueName,
    uniqueType,
    type: column.getSQLType(),
    enumSchema: enumSchemaOf(column),
    generatedAs: expressionOf(generated?.as),
    generatedIdentity,
  }
}

function expressionOf(expression: unknown): unknown {
  return typeof expression === 'function' ? Reflect.apply(expression, undefined, []) : expression
}

function enumSchemaOf(column: unknown): string | undefined {
  if (is(column, PgArray)) return enumSchemaOf(column.baseColumn)
  return is(column, PgEnumColumn) ? column.enum.schema : undefined
}

const dialect = new PgDialect()

/** Returns a value as JSON has it, with sorted keys; tables and columns by their names. */
function jsonOf(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (Array.isArray(value)) return value.map(jsonOf)
  if (is(value, SQL)) return jsonOf({ ...dialect.sqlToQuery(value) })
  if (is(value, PgTable)) return [getTableConfig(value).schema, getTableConfig(value).name]
  if (is(value, PgColumn)) return value.name
  if (is(value, ForeignKey)) {
    const { onUpdate, onDelete } = value
    return jsonOf({ ...value.reference(), name: value.getName(), onUpdate, onDelete })
  }
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([key, it]) => [key, jsonOf(it)]))
}

function noTablesError(): TenantryError {
  return new TenantryError('models-invalid', 'The Drizzle schema has no table of drizzle-orm/pg-core.', {
    hint: "Give drizzle() the exports of your schema: import * as schema from './schema.ts'.",
  })
}
