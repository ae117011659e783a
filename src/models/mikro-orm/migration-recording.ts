import type { TenantryError } from '../../kernel/errors.ts'
import { type ConnectionPool, type PooledConnection, queryOnce } from '../../server/connection-pool.ts'
import { readsRowsError, returnsRows } from '../migrations/recorded.ts'

/** Takes the statements of migrations, one migration after the other, in place of a database. */
export class MigrationRecording {
  #name = ''
  #statements: string[] = []
  #refusal: TenantryError | undefined
  #isAdding = false

  /** Begins the recording of a migration. */
  begin(name: string): void {
    this.#name = name
    this.#statements = []
    this.#refusal = undefined
    this.#isAdding = false
  }

  /** Begins with the statements that it has added by addSql(): nothing reads their rows. */
  beginAdded(): void {
    this.#isAdding = true
  }

  /** Returns its statements. @throws `models-invalid` if it read rows, also if it caught the error */
  end(): readonly string[] {
    if (this.#refusal !== undefined) throw this.#refusal
    return this.#statements
  }

  asPool(): ConnectionPool {
    const connection: PooledConnection = {
      processID: undefined,
      getTypeParser: () => (text) => text,
      setTypeParser: () => undefined,
      query: async (query: unknown) => this.#take(query),
      release: () => undefined,
    }
    const connect = async () => connection
    return {
      options: {},
      connect,
      query: (query, values) => queryOnce(connect(), query, values),
      cancel: async () => undefined,
      end: async () => undefined,
    }
  }

  #take(query: unknown): object {
    // Anything else is a cursor.
    if (typeof query !== 'string' || (!this.#isAdding && returnsRows(query))) {
      this.#refusal ??= readsRowsError(this.#name)
      throw this.#refusal
    }
    if (this.#isAdding || !aroundTransaction.test(query)) this.#statements.push(query)
    return { command: '', rowCount: 0, rows: [] }
  }
}

/** The statements with which MikroORM begins and ends transactions: all that is recorded runs in one of Tenantry's. */
const aroundTransaction = /^(?:begin|start transaction\b.*|commit|rollback|savepoint .*|release (?:savepoint )?\S+)$/i
