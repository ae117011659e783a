/** What makes tenants and is measured. What it connects as and to is the same for all. */
export interface Contender {
  readonly name: string
  /** Makes a database with the tables of the models. */
  newTenant(id: string): Promise<void>
  /** The same, until the first row is written through the ORM. */
  newTenantWithRow(id: string): Promise<void>
  /** Ends what a turn left open or under way, so that the next contender has the machine for itself. Not timed. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** What a service does without Tenantry. */
export interface Peer extends Contender {
  /**
   * Whether this peer finds all in place in a database that Tenantry made. One that does not has a record of its own in
   * each database, or other names for the constraints.
   */
  readonly acceptsOthersTables: boolean
  /** The name of a tenant's database. */
  databaseOf(id: string): string
  /** What a service does when it starts: makes sure of each database that it is there and has its tables. */
  start(databases: readonly string[]): Promise<void>
}
