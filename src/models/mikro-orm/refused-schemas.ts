import type { MikroORM } from '@mikro-orm/postgresql'
import { type DatabaseTable, SqlSchemaGenerator } from '@mikro-orm/sql'
import { parseIdentifier } from '../../kernel/names.ts'

/**
 * Refuses schemas that PostgreSQL would make otherwise than the entities say: with a name that it cuts silently, so that
 * the object is never found under the full one, or with one of two definitions of an enum.
 *
 * @throws an error that names the table and the column
 */
export function refuseUnusable(orm: MikroORM): void {
  const schema = new SqlSchemaGenerator(orm.em).getTargetSchema()
  for (const name of schema.getNamespaces()) parseIdentifier(name, 'schema')
  for (const { name } of Object.values(schema.getNativeEnums())) parseIdentifier(name, 'enum')
  for (const { name } of schema.getViews()) parseIdentifier(name, 'view')
  for (const table of schema.getTables()) refuseLongNamesIn(table)
  refuseEnumsIn(schema.getTables())
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

/** The most bytes of an enum's label. https://www.postgresql.org/docs/current/datatype-enum.html */
const mostLabelBytes = 63

function refuseEnumsIn(tables: readonly DatabaseTable[]): void {
  const known = new Map<string, { readonly place: string; readonly labels: string }>()
  for (const table of tables) {
    for (const { name, nativeEnumName, enumItems = [] } of table.getColumns()) {
      if (nativeEnumName === undefined) continue
      const place = `${table.name}.${name}`
      const long = enumItems.find((label) => Buffer.byteLength(label) > mostLabelBytes)
      if (long !== undefined) throw new Error(`The label "${long}" of the enum of ${place} is over 63 bytes long.`)
      const labels = enumItems.join(', ')
      const other = known.get(nativeEnumName) ?? { place, labels }
      if (other.labels !== labels) {
        const [one, two] = [`${other.labels} in ${other.place}`, `${labels} in ${place}`]
        throw new Error(`The enum ${nativeEnumName} has two definitions: ${one}, and ${two}.`)
      }
      known.set(nativeEnumName, other)
    }
  }
}
