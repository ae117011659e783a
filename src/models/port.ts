import type { ConnectionPool } from '../server/port.ts'

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
  /** Makes the models usable on a tenant's connections. The ORM's caches are separated by `tenant.rowId`. */
  open(pool: ConnectionPool, tenant: TenantIdentity): Promise<OpenModels<Handle>>
}
