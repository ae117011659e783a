/** The part of a `pg` Client that ORMs use. */
export interface QueryClient {
  readonly processID: number | undefined
  /** Takes a string, a query configuration or a cursor, as a pg client does: the ORMs use all three. */
  query(query: unknown, values?: unknown): unknown
  /** What turns a column's text or bytes into a value, by the type's OID. */
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown
}

/** The part of a `pg` PoolClient that ORMs use. */
export interface PooledConnection extends QueryClient {
  /** What stays the same each time that one connection is lent, where this object does not. */
  readonly origin?: object
  /** Says what parses a type's text from now on, where a query does not say so itself; for {@link origin}'s whole life. */
  setTypeParser?(oid: number, parse: (text: string) => unknown): void
  /** Gives the connection back; `true` or an error closes it instead of keeping it. */
  release(destroy?: boolean | Error): void
}

/** The part of a `pg` Pool that ORMs use. */
export interface ConnectionPool {
  readonly options: object
  /** Runs one statement on a connection beside the pool, opened for it alone: to cancel what runs on one of the pool. */
  control(sql: string): Promise<void>
  connect(): Promise<PooledConnection>
  query(query: unknown, values?: unknown): Promise<unknown>
  end(): Promise<void>
}
