/** What holds in a tenant's sessions until they say otherwise. Without a default of ours the server's own holds. */
export interface SessionDefaults {
  readonly isolationLevel?: 'read committed' | 'repeatable read' | 'serializable' | undefined
  /** How long a statement waits for a lock, in milliseconds. */
  readonly lockTimeoutMs?: number | undefined
  /** How long a statement may run, in milliseconds; 0 for what the server says. Default 30,000. */
  readonly statementTimeoutMs?: number | undefined
  /** How long a transaction may stand idle before the server ends its session, in milliseconds. */
  readonly idleInTransactionTimeoutMs?: number | undefined
  /** What pg_stat_activity calls the sessions. Default: that of the server's URL, or `tenantry`. */
  readonly applicationName?: string | undefined
}
