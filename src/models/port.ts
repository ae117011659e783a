import type { ConnectionPool, Session } from '../server/port.ts'

/** Something the models declare, as it is called in the database. */
export interface SchemaObject {
  readonly kind: 'schema' | 'enum' | 'table' | 'index' | 'foreign key' | 'view' | 'routine'
  /** Qualified where it is not in the default schema; an index or foreign key with its table: `author.author_name_index`. */
  readonly name: string
}

/** Something that is there and is not as the models declare it. */
export interface DifferingObject extends SchemaObject {
  /**
   * What would make it as the models say, by the ORM's own judgement: read it before running it, it may drop or rename.
   * Empty where the ORM knows no statement.
   */
  readonly statements: readonly string[]
}

/** What a database has of the models. */
export interface Comparison {
  readonly existing: readonly SchemaObject[]
  readonly missing: readonly SchemaObject[]
  readonly differing: readonly DifferingObject[]
  /** What creates the missing objects and touches nothing else; all of it can run in one transaction. */
  readonly createStatements: readonly string[]
}

/** The identity of a tenant, for an adapter. */
export interface TenantIdentity {
  /** The name in messages. Another tenant may get it once this one is purged. */
  readonly id: string
  /** The key of all that an adapter keeps for the tenant. No other tenant ever has it. */
  readonly rowId: string
}

/** The models of a service, opened for one tenant. */
export interface OpenModels<Handle> {
  /** A new unit of work on the tenant's database. It holds no connection until it is used; the signal ends its queries. */
  handle(signal?: AbortSignal): Handle
  /** Ends a unit of work: a transaction that it left open is rolled back, so that its connection is free again. */
  finish(handle: Handle): void | Promise<void>
}

/** A service's declared tables, in the ORM it uses. One adapter per ORM implements this. */
export interface Models<Handle> {
  /** The schema of the tables that name none. */
  readonly defaultSchema: string
  /**
   * The hash of the desired schema: the same for the same models, whatever their order.
   *
   * @throws `models-invalid`
   */
  fingerprint(): Promise<string>
  /** The statements that make the desired schema in an empty database. */
  createStatements(): Promise<readonly string[]>
  /** Looks at what a database has, changing nothing. */
  compare(session: Session): Promise<Comparison>
  /** Makes the models usable on a tenant's connections. The ORM's caches are separated by `tenant.rowId`. */
  open(pool: ConnectionPool, tenant: TenantIdentity): Promise<OpenModels<Handle>>
}
