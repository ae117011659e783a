import {
  type AbortableOperationOptions,
  type CompiledQuery,
  type DatabaseConnection,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresDriver,
} from 'kysely'

/**
 * Kysely's dialect without its message on standard error at the end of an aborted query: the failure is the purpose of
 * cancelling. The caller has the signal's reason by then.
 */
export class QuietDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig

  constructor(config: PostgresDialectConfig) {
    super(config)
    this.#config = { ...config, onCreateConnection: async (connection) => silence(connection) }
  }

  override createDriver(): PostgresDriver {
    return new QuietDriver(this.#config)
  }
}

class QuietDriver extends PostgresDriver {
  override acquireConnection(options?: AbortableOperationOptions): Promise<DatabaseConnection> {
    const acquired = super.acquireConnection(options)
    // When it is aborted the caller is answered at once, and there is no connection to give back: this stays open.
    return unlessAborted(acquired, options, new Promise<never>(() => undefined))
  }
}

/** Makes an aborted query succeed: its result is not used any more. */
function silence(connection: DatabaseConnection): void {
  const executeQuery = connection.executeQuery.bind(connection)
  const streamQuery = connection.streamQuery.bind(connection)
  connection.executeQuery = <Row>(query: CompiledQuery, options?: AbortableOperationOptions) =>
    unlessAborted(executeQuery<Row>(query), options, { rows: [] })
  connection.streamQuery = async function* <Row>(
    query: CompiledQuery,
    size: number,
    options?: AbortableOperationOptions,
  ) {
    try {
      yield* streamQuery<Row>(query, size)
    } catch (error) {
      if (options?.signal?.aborted !== true) throw error
    }
  }
  for (const name of ['cancelQuery', 'killSession'] as const) {
    const cancel = connection[name]?.bind(connection)
    // A query that cannot be cancelled continues, and its connection is released when it ends.
    if (cancel !== undefined) connection[name] = (provider) => cancel(provider).catch(() => undefined)
  }
}

/**
 * Returns the value of a promise; if it fails after the abort of its signal, a value for the caller, which has given
 * up.
 */
function unlessAborted<Value>(
  promise: Promise<Value>,
  options: AbortableOperationOptions | undefined,
  otherwise: Value | Promise<Value>,
): Promise<Value> {
  const signal = options?.signal
  if (signal === undefined) return promise
  return promise.catch((error: unknown) => {
    if (!signal.aborted) throw error
    return otherwise
  })
}
