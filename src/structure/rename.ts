import { TenantryError } from '../kernel/errors.ts'
import { named } from './comparison.ts'
import { quoteName } from '../kernel/quoting.ts'
import { parentOf, qualified } from './qualified.ts'
import type { Structure } from './structure-object.ts'

/**
 * Returns the statements that rename tables and columns.
 *
 * @param renames new names by the old ones, such as `author.name` to `author.full_name`; the schema is left out where it
 *   is the default one
 * @throws `invalid-option` for one that does not exist
 */
export function renameStatements(
  structure: Structure,
  renames: Readonly<Record<string, string>>,
  defaultSchema: string,
): readonly string[] {
  return Object.entries(renames).map(([from, to]) => {
    const object = structure.find((it) => {
      const isRenamable = it.kind === 'table' || it.kind === 'column' || it.kind === 'view'
      return isRenamable && named(it, defaultSchema).name === from
    })
    const path = to.split('.')
    const name = path.at(-1) ?? ''
    if (object === undefined || path.length !== from.split('.').length || name === '') {
      throw new TenantryError('invalid-option', `renames cannot have ${from}=${to}.`, {
        hint: 'Name an existing table or column, and its new name with as many parts: author.name=author.full_name.',
      })
    }
    const column = object.kind === 'column' ? ` column ${quoteName(object.name)}` : ''
    return `alter ${object.kind === 'view' ? 'view' : 'table'} ${column ? parentOf(object) : qualified(object)} rename${column} to ${quoteName(name)};`
  })
}
