import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  type QueryResult,
} from 'kysely'
import type { Migration } from 'kysely/migration'
import type { TenantryError } from '../../kernel/errors.ts'
import { type RecordedMigration, readsRowsError, recordingError, returnsRows } from '../migrations/recorded.ts'
import { LiteralQueryCompiler } from './literals.ts'

/** Runs a migration without a database, and returns what it sends. @throws `models-invalid` if it reads rows */
export async function recordMigration(name: string, migration: Migration): Promise<RecordedMigration> {
  const statements: string[] = []
  const connection = new RecordingConnection(name, statements)
  const db = new Kysely<unknown>({ dialect: recordingDialect(connection) })
  try {
    // A transaction, as Kysely's Migrator gives it.
    await db.transaction().execute((transaction) => migration.up(transaction))
    // Also one that the migration has caught: it would go on without rows.
    if (connection.refusal !== undefined) throw connection.refusal
  } catch (error) {
    throw recordingError(name, error)
  }
  return { name, statements }
}

class RecordingConnection implements DatabaseConnection {
  readonly #name: string
  readonly #statements: string[]
  /** The first refusal to read rows. */
  refusal: TenantryError | undefined

  constructor(name: string, statements: string[]) {
    this.#name = name
    this.#statements = statements
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    this.#statements.push(query.sql)
    if (!hasRows(query)) return { rows: [] }
    const refuse = () => this.#refuse()
    return {
      get rows() {
        return refuse()
      },
    }
  }

  streamQuery(): never {
    return this.#refuse()
  }

  #refuse(): never {
    this.refusal ??= readsRowsError(this.#name)
    throw this.refusal
  }
}

function hasRows({ query, sql }: CompiledQuery): boolean {
  if (query.kind === 'SelectQueryNode' || ('returning' in query && query.returning !== undefined)) return true
  return query.kind === 'RawNode' && returnsRows(sql)
}

function recordingDialect(connection: DatabaseConnection): Dialect {
  const nothing = async () => undefined
  const driver: Driver = {
    init: nothing,
    acquireConnection: async () => connection,
    beginTransaction: nothing,
    commitTransaction: nothing,
    rollbackTransaction: nothing,
    releaseConnection: nothing,
    destroy: nothing,
  }
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new LiteralQueryCompiler(),
  }
}
