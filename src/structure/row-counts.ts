import { quoteName } from '../kernel/quoting.ts'
import { parentOf } from './qualified.ts'
import { columnClauses } from './repair.ts'
import type { StructureObject } from './structure-object.ts'

/**
 * Returns a query that counts the rows of an existing table, as `rows`, which keep an object from being added to it, or a
 * column from being required; undefined where it is not certain what they are.
 *
 * @param was the column before; undefined for a new one, and for other objects
 */
export function rowCountQuery(object: StructureObject, was?: StructureObject): string | undefined {
  const table = parentOf(object)
  switch (object.kind) {
    case 'column':
      if (was === undefined) return count(`from ${table}`)
      return columnClauses(was).isRequired ? undefined : count(`from ${table} where ${quoteName(object.name)} is null`)
    case 'check': {
      const [, condition] = /^CHECK \((.*)\)$/s.exec(object.definition) ?? []
      return condition && count(`from ${table} where not (${condition})`)
    }
    case 'primary key':
    case 'unique':
      return countEqual(table, object)
    case 'foreign key':
      return countStray(table, object)
    default:
      return undefined
  }
}

function count(from: string): string {
  return `select count(*)::int as rows ${from}`
}

/** Counts the rows that have the same key as another one. That a primary key has no nulls is its columns' own matter. */
function countEqual(table: string, { definition }: StructureObject): string | undefined {
  const [, columns] = /^(?:UNIQUE|PRIMARY KEY) \(([^()]*)\)(?: DEFERRABLE.*)?$/.exec(definition) ?? []
  if (columns === undefined) return undefined
  const groups = `select count(*) as n from ${table} where num_nulls(${columns}) = 0 group by ${columns} having count(*) > 1`
  return `select coalesce(sum(n), 0)::int as rows from (${groups}) as equal`
}

/** Counts the rows that refer to no row, for a foreign key of one column. */
function countStray(table: string, { definition }: StructureObject): string | undefined {
  const pattern = /^FOREIGN KEY \(([^(),]*)\) REFERENCES (\S+)\(([^(),]*)\)/
  const [, column, other, key] = pattern.exec(definition) ?? []
  if (column === undefined) return undefined
  return count(
    `from ${table} as one where one.${column} is not null and not exists (select from ${other} as other where other.${key} = one.${column})`,
  )
}
