/** The part of a `pg` Client that ORMs use. */
export interface QueryClient {
  readonly processID: number | undefined
  /** Takes a string, a query configuration or a cursor, as a pg client does: the ORMs use all three. */
  query(query: unknown, values?: unknown): unknown
  /** Returns the parser of a type, by its OID, from a column's text or bytes to a value. */
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown
}

/** The part of a `pg` PoolClient that ORMs use. */
export interface PooledConnection extends QueryClient {
  /** An object that stays the same for all leases of one connection, unlike this one. */
  readonly origin?: object
  /** Sets the parser of a type's text, for queries without one of their own; for {@link origin}'s whole life. */
  setTypeParser?(oid: number, parse: (text: string) => unknown): void
  /** Releases the connection; `true` or an error closes it instead of keeping it. */
  release(destroy?: boolean | Error): void
}

/** Runs one statement on a connection of a pool, which it has for that alone. */
export async function queryOnce(
  connecting: Promise<PooledConnection>,
  query: unknown,
  values: unknown,
): Promise<unknown> {
  const connection = await connecting
  try {
    return await connection.query(query, values)
  } finally {
    connection.release()
  }
}

/** The part of a connection's work that {@link ConnectionPool.cancel} ends. */
export type Cancelled = 'statement' | 'connection'

/** The part of a `pg` Pool that ORMs use. */
export interface ConnectionPool {
  readonly options: object
  /**
   * Cancels the statement that a connection of the pool runs, or ends the connection: on one beside the pool, opened for
   * it alone.
   *
   * @param processID that of the connection
   */
  cancel(processID: number, what: Cancelled): Promise<void>
  connect(): Promise<PooledConnection>
  query(query: unknown, values?: unknown): Promise<unknown>
  end(): Promise<void>
}
