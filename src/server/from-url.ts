import type { Identifier } from '../kernel/names.ts'
import type { Server } from './port.ts'
import { parseConnectionUrl, requireDatabase } from './postgres/connection-fields.ts'
import { postgres, type PostgresOptions } from './postgres/postgres.ts'

export { checkCreateOptions, createSchemas } from './postgres/databases.ts'

/**
 * Returns the server of a connection URL, and the database that the URL names. PostgreSQL is the only kind so far.
 *
 * @throws `invalid-url`, `invalid-name`, `invalid-option`
 */
export function serverOf(options: PostgresOptions): { readonly server: Server; readonly database: Identifier } {
  const database = requireDatabase(parseConnectionUrl(options.url))
  return { server: postgres(options), database }
}
