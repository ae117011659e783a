import type { QueryClient } from './connection-pool.ts'
import type { SessionMark } from './occupancy.ts'
import type { Login, SessionOptions } from './session.ts'
import type { SessionDefaults } from './session-defaults.ts'

/** A server's connection for routing: it can be closed, and reports its end. */
export interface ServerConnection extends QueryClient {
  /** Sets the parser of a type's text, for queries without one of their own. */
  setTypeParser(oid: number, parse: (text: string) => unknown): void
  /** True if it is unusable, because it ended or is about to. */
  readonly broken: boolean
  /** The number of bytes that have passed over it so far, in both directions. */
  readonly traffic: number
  /** True while the server owes it an answer. A cursor that waits for its reader is owed none. */
  readonly isAwaited: boolean
  /** True if a transaction is open (or failed and not rolled back) on it. */
  inTransaction(): boolean
  /** Rolls an open transaction back. */
  rollback(): Promise<void>
  /** Returns the session to its initial state: settings, temporary tables, locks, prepared statements and all. */
  reset(): Promise<void>
  /** Calls back once, when the connection has ended for any reason. */
  onEnd(listener: () => void): void
  close(): Promise<void>
  /** Closes the connection at once; a statement under way fails. */
  cut(): void
}

/** The server's activity for a session, if known. */
export type SessionState = 'busy' | 'idle' | 'unreachable'

/** Options of a pool's connections. */
export interface PoolOptions extends Pick<SessionOptions, 'login' | 'role'>, Pick<SessionDefaults, 'isolationLevel'> {
  /** `service`: names are resolved as in a tenant's session. Default `administration`: they are PostgreSQL's own. */
  readonly purpose?: 'administration' | 'service'
}

/** Options of a connection for routing. */
export interface OpenOptions {
  readonly session?: SessionDefaults | undefined
  /** The role that logs in; the role that administers by default. */
  readonly login?: Login | undefined
  readonly mark?: SessionMark | undefined
}
