import type { Cancellable } from '../kernel/abort.ts'
import type { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Secret } from '../kernel/secret.ts'
import type { ConnectionPool } from './connection-pool.ts'

/** A role that can log in, and its password. */
export interface Login {
  readonly user: Identifier
  readonly password: Secret
}

/** Options of a session, besides its signal. */
export interface SessionOptions extends Cancellable {
  /** The role that logs in; the role that administers by default. */
  readonly login?: Login | undefined
  /** The role to act as; the login role by default. */
  readonly role?: Identifier | undefined
  /** `leave` if its statements wait for tenants' sessions, up to their own limits, and end none. Default `end`. */
  readonly blockers?: 'end' | 'leave'
  /** The longest wait of a statement for each lock, in milliseconds. Default: that of administration. */
  readonly lockTimeoutMs?: number | undefined
}

/** The result of a statement. */
export interface QueryResult<Row> {
  readonly command: string
  readonly rowCount: number | null
  readonly rows: Row[]
}

/** Options of a transaction. */
export interface TransactionOptions {
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
  readonly readOnly?: boolean
  /** Makes an acknowledged commit survive a crash, with any default of the server for synchronous_commit. */
  readonly durable?: boolean
  /** The schema of unqualified names in a {@link Session.script}. */
  readonly schema?: string
  /** `off` refuses a query from which row security would hide rows. Default: that of the session. */
  readonly rowSecurity?: 'off'
  /** The time zone that converts timestamps. Default: that of the session. */
  readonly timeZone?: 'UTC'
  /** The longest wait for each lock, in milliseconds. Default: that of the session. */
  readonly lockTimeoutMs?: number | undefined
  /** The longest time between two statements, in milliseconds: then the server ends the session. Default: that of the session. */
  readonly idleMs?: number | undefined
}

/** Options of a script. */
export type ScriptOptions = Pick<SessionOptions, 'role'> & Pick<TransactionOptions, 'lockTimeoutMs'>

/** The privileges that creating needs in a database. */
export interface Creation {
  /** The schemas to create. To a role that may not see it, an existing one counts as such. */
  readonly newSchemas: readonly string[]
  /** The schemas to create in, if they exist. */
  readonly schemas: readonly string[]
  /** The existing tables to add to, as `schema.name`. */
  readonly altered: readonly string[]
  /** The existing tables to refer to by a foreign key, as `schema.name`. */
  readonly referenced: readonly string[]
}

/**
 * One connection to one database, for one piece of administration, used by one caller at a time. The signal it was
 * opened with cancels any statement on it.
 */
export interface Session {
  readonly database: string
  /** The role it is connected as. */
  readonly user: string
  /** The encoding of the database, such as `UTF8`. */
  readonly encoding: string | undefined
  /** Runs one statement; `params` are its `$1, $2, ...`. */
  query<Row extends object>(sql: string, params?: readonly unknown[]): Promise<QueryResult<Row>>
  /**
   * Runs several statements in one round trip, all or (outside of a transaction as well) none. Since they run in a
   * transaction, indexes are created and dropped without CONCURRENTLY.
   *
   * @param options the role that they are run as, within an open transaction (default: that of the session), and the
   *   longest wait for each lock from then on in it
   */
  script(statements: readonly string[], options?: ScriptOptions): Promise<void>
  /** Runs `work` in a transaction: committed when it resolves, rolled back when it rejects. */
  transaction<T>(work: () => Promise<T>, options?: TransactionOptions): Promise<T>
  /**
   * Takes an advisory lock of this database, for the open transaction or for the rest of the session. It polls, since
   * waiting in the server can deadlock with CREATE INDEX CONCURRENTLY.
   *
   * @throws `lock-timeout` after `limitMs` milliseconds
   */
  lock(name: string, scope: 'transaction' | 'session', limitMs: number): Promise<void>
  /**
   * Takes an advisory lock for the rest of the session if it is free now. A shared lock excludes only exclusive ones.
   */
  tryLock(name: string, mode: 'exclusive' | 'shared'): Promise<boolean>
  /**
   * Makes the server end the session once it is idle for longer, in or outside of a transaction: the locks of a process
   * that was stopped, or cut off, are free then.
   *
   * @param ms the time, in milliseconds, in which the session has to be used again
   */
  limitIdle(ms: number): Promise<void>
  /** Releases an advisory lock that was taken by {@link lock} or {@link tryLock} on this connection. */
  unlock(name: string, mode: 'exclusive' | 'shared'): Promise<void>
  /** The statements that grant the session's role the missing privileges to create these; none if it has them. */
  missingGrants(creation: Creation): Promise<readonly string[]>
  /** Adds to the error of a statement what the server knows about its cause; for use after the transaction. */
  explain(error: TenantryError): Promise<TenantryError>
  /**
   * Returns this connection as a pool of one, for libraries that want a `pg` pool. Ending it does nothing. In a
   * transaction with a schema, definitions are worded as in that schema, and still no function or operator is found
   * there.
   */
  asPool(): ConnectionPool
  close(): Promise<void>
}

/** Sessions on one database that are reused, so that not every piece of work has to connect. */
export interface SessionPool {
  /** Returns a session; closing it returns it to the pool: its locks are free then, and its transaction is over. */
  connect(options?: Cancellable): Promise<Session>
  end(): Promise<void>
}
