import { quoteText } from '../../kernel/quoting.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { sha256 } from '../../kernel/hash.ts'
import type { AppliedFile, Layout } from './layout.ts'

const numbers = new Intl.Collator('en', { numeric: true })

// A comment and not a table: the roles of tenants may write to every table, and the owner alone writes this.
const schema = 'tenantry_migrations'

/** Files that are SQL and nothing else, in the order of their names, numbers by their value. */
export const plain: Layout = {
  isMigration: (file) => file.endsWith('.sql'),
  read: (file, text) => {
    if (!file.endsWith('.down.sql')) return { file, name: file, text, checksum: sha256(text) }
    throw new TenantryError('models-invalid', `${file} would run as a migration.`, {
      hint: 'Keep what undoes a migration in another folder.',
    })
  },
  /** `1_a.sql` and `01_a.sql` are equal by their numbers alone. */
  compare: ({ file: one }, { file: other }) => numbers.compare(one, other) || (one < other ? -1 : 1),
  create: () => [`create schema if not exists ${schema}`],
  record: (_, added, before) => {
    const history = JSON.stringify([...before, ...added].map(({ name, checksum }) => [name, checksum]))
    return [`comment on schema ${schema} is ${quoteText(history)}`]
  },
  applied: async (session) => {
    const { rows } = await session.query(
      `select pg_catalog.obj_description(oid, 'pg_namespace') as history
       from pg_catalog.pg_namespace where nspname = '${schema}'`,
    )
    const [row] = rows as readonly { readonly history: string | null }[]
    return row && parseHistory(row.history)
  },
}

/** @throws `schema-conflict` */
function parseHistory(comment: string | null): readonly AppliedFile[] {
  try {
    return (JSON.parse(comment ?? '') as [string, string][]).map(([name, checksum]) => ({ name, checksum }))
  } catch (error) {
    throw new TenantryError('schema-conflict', `The comment of the schema ${schema} is no history of migrations.`, {
      cause: error,
      hint: 'Restore it from a database of the same version.',
    })
  }
}
