/** A measured maker of tenants. Its login and server are the same for all. */
export interface Contender {
  readonly name: string
  /** Makes a database with the tables of the models. */
  newTenant(id: string): Promise<void>
  /** The same, until the first row is written through the ORM. */
  newTenantWithRow(id: string): Promise<void>
  /** Ends the open work of a turn, so that the next contender has the machine for itself. Not timed. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** A service without Tenantry. */
export interface Peer extends Contender {
  /**
   * True if this peer accepts a database that Tenantry made. Others have a record of their own in each database, or
   * other names for the constraints.
   */
  readonly acceptsOthersTables: boolean
  /** The name of a tenant's database. */
  databaseOf(id: string): string
  /** Runs the start of a service: ensures each database with its tables. */
  start(databases: readonly string[]): Promise<void>
}
