import type { ConnectionPool } from '../server/connection-pool.ts'

/** A service's tables, and the handle through which it uses them. An adapter may give both, or either. */
export interface Models<Handle> {
  readonly schema: SchemaSource
  readonly handles: HandleFactory<Handle>
}

/**
 * The tables of a service: the entities that an ORM declares, or migrations, which come one after the other and leave a
 * history in each database.
 *
 * Comparing a database with it is not its task: PostgreSQL words what `create` makes, and what a database has.
 */
export interface SchemaSource {
  /** The schema of the tables that name none. */
  readonly defaultSchema: string
  /**
   * The table of its history, if it has one, and that of its tool's lock. Tenants' roles can read them, and not write
   * them.
   */
  readonly history?: { readonly schema: string; readonly table: string; readonly lockTable?: string }
  /**
   * The hash of what `create` makes: the same in every process that has the same schema.
   *
   * @throws `models-invalid`
   */
  fingerprint(): Promise<string>
  /**
   * Creates everything in an empty database, in the transaction that the session has open. Databases are compared with
   * what it sends by `script`; if it uses `query`, it can make templates only.
   *
   * @throws `models-invalid`
   */
  create(session: SchemaSession): Promise<void>
  /**
   * Returns the changes that a database lacks by its history, oldest first; `newer` if it has all of them and more;
   * undefined if it has no history. Only migrations have this.
   *
   * @throws `schema-conflict` if its history is of other migrations
   */
  pending?(session: SchemaSession): Promise<readonly SchemaChange[] | 'newer' | undefined>
}

/** A session with the rights of the owner of a database. */
export interface SchemaSession {
  /** Runs several statements in one round trip, all or none. Indexes are created and dropped without CONCURRENTLY. */
  script(statements: readonly string[]): Promise<void>
  /** Runs one statement; `params` are its `$1, $2, ...`. */
  query(sql: string, params?: readonly unknown[]): Promise<{ readonly rows: readonly object[] }>
}

/** One of the changes that lead from an older version to the current one. */
export interface SchemaChange {
  readonly name: string
  /** Makes the change in the transaction that the session has open, and adds it to the database's history. */
  apply(session: SchemaSession): Promise<void>
}

/** The identity of a tenant, for an adapter. */
export interface TenantIdentity {
  /** The name in messages. Another tenant may get it once this one is purged. */
  readonly id: string
  /** The key of all that an adapter keeps for the tenant. No other tenant ever has it. */
  readonly rowId: string
}

/** Makes the ORM's own handles on tenants' connections. */
export interface HandleFactory<Handle> {
  /** Makes the handles of one tenant, on connections that it leases from the pool. It opens none itself. */
  open(pool: ConnectionPool, tenant: TenantIdentity): Promise<TenantHandles<Handle>>
}

/** The handles of one tenant. */
export interface TenantHandles<Handle> {
  /** A new unit of work on the tenant's database. It holds no connection until it is used; the signal ends its queries. */
  handle(signal?: AbortSignal): Handle
  /** Ends a unit of work. A transaction that it left open is rolled back, if the library can tell. */
  finish(handle: Handle): void | Promise<void>
  /**
   * Frees what the handles hold, once no unit of work is under way: when the tenant is long unused, or Tenantry closed.
   * They may be opened again. The pool is not theirs to end.
   */
  close?(): void | Promise<void>
}
