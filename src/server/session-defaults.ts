/** The defaults of a tenant's sessions, until they set others. Without a default of ours the server's own holds. */
export interface SessionDefaults {
  readonly isolationLevel?: 'read committed' | 'repeatable read' | 'serializable' | undefined
  /** The longest wait of a statement for a lock, in milliseconds. */
  readonly lockTimeoutMs?: number | undefined
  /** The time limit of a statement, in milliseconds; 0 for the server's setting. Default 30,000. */
  readonly statementTimeoutMs?: number | undefined
  /** The time that a transaction may stand idle before the server ends its session, in milliseconds. */
  readonly idleInTransactionTimeoutMs?: number | undefined
  /** The name of the sessions in pg_stat_activity. Default: that of the server's URL, or `tenantry`. */
  readonly applicationName?: string | undefined
}
