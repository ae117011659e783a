import type { MikroORM } from '@mikro-orm/postgresql'
import { type DatabaseTable, SqlSchemaGenerator } from '@mikro-orm/sql'
import { parseIdentifier } from '../../kernel/names.ts'

/**
 * Refuses names that PostgreSQL would cut silently: an object made under the cut name is never found under the full
 * one.
 *
 * @throws `invalid-name`
 */
export function refuseLongNames(orm: MikroORM): void {
  const schema = new SqlSchemaGenerator(orm.em).getTargetSchema()
  for (const name of schema.getNamespaces()) parseIdentifier(name, 'schema')
  for (const { name } of Object.values(schema.getNativeEnums())) parseIdentifier(name, 'enum')
  for (const { name } of schema.getViews()) parseIdentifier(name, 'view')
  for (const table of schema.getTables()) refuseLongNamesIn(table)
}

function refuseLongNamesIn(table: DatabaseTable): void {
  parseIdentifier(table.name, 'table')
  for (const { name } of table.getColumns()) parseIdentifier(name, `column of ${table.name}`)
  for (const { keyName } of table.getIndexes()) parseIdentifier(keyName, `index of ${table.name}`)
  for (const { name } of table.getChecks()) parseIdentifier(name, `check of ${table.name}`)
  for (const { constraintName } of Object.values(table.getForeignKeys())) {
    parseIdentifier(constraintName, `foreign key of ${table.name}`)
  }
}
