import type { Identifier } from '../kernel/names.ts'
import type { ServerCapabilities } from './capabilities.ts'
import type { Change } from './change.ts'
import type { Cancelled, ConnectionPool } from './connection-pool.ts'
import type { Coordination } from './coordination.ts'
import type { Databases } from './database.ts'
import type { DiagnosisRequest, ServerDiagnosis } from './diagnosis.ts'
import type { Occupancy, OccupancyQuestion } from './occupancy.ts'
import type { Roles } from './roles.ts'
import type { OpenOptions, PoolOptions, ServerConnection, SessionState } from './server-connection.ts'
import type { Login, Session, SessionOptions, SessionPool } from './session.ts'
import type { StructureAccess } from './structure.ts'
import type { Sessions, TenantSessions } from './tenant-sessions.ts'

export type { SessionDefaults } from './session-defaults.ts'

export type * from './change.ts'
export type * from './connection-pool.ts'
export type * from './coordination.ts'
export type * from './database.ts'
export type * from './roles.ts'
export type * from './server-connection.ts'
export type * from './session.ts'
export type * from './tenant-sessions.ts'

/** One database server. Sessions always connect to the server itself; connections of `open` may use a pooler. */
export interface Server {
  /** The name of the server in the catalog. */
  readonly name: string
  /** Host and port, for messages. */
  readonly description: string
  /** True if it is on this machine. */
  readonly isLocal: boolean
  /** The number of connections that routing may hold on it at once, in all processes of an installation together. */
  readonly maxConnections: number
  /**
   * The time at which the pooler of `open` reassigns its connections: at the end of a session, or of each transaction,
   * after which settings are lost. Undefined without one.
   */
  readonly pooling: 'session' | 'transaction' | undefined
  /** The database from which others are created and dropped. */
  readonly maintenanceDatabase: Identifier
  readonly capabilities: ServerCapabilities
  readonly databases: Databases
  readonly roles: Roles
  readonly sessions: Sessions
  readonly structures: StructureAccess
  readonly coordination: Coordination
  /**
   * Returns the same server for one installation. Its administrative statements end the sessions, and prepared
   * transactions, of tenants that they wait for.
   */
  overTenants(tenants: TenantSessions): Server
  /**
   * Opens a session.
   *
   * @throws `database-missing`, `authentication-failed`, `server-unreachable` and other errors of a connection
   */
  connect(database: Identifier, options?: SessionOptions): Promise<Session>
  /** Returns at most `max` sessions on one database, kept for the next user for a while. It connects on first use. */
  sessionPool(database: Identifier, max: number): SessionPool
  /** Returns a pool of at most `max` connections to one database. It connects on first use. */
  pool(database: Identifier, max: number, options?: PoolOptions): ConnectionPool
  /**
   * Cancels the statement that a connection of {@link open} runs, or ends the connection: on a connection opened for it
   * alone, as the given login; behind a pooler by a cancel request.
   */
  cancel(database: Identifier, processID: number, what: Cancelled, login?: Login): Promise<void>
  /** Opens a connection for routing. */
  open(database: Identifier, options?: OpenOptions): Promise<ServerConnection>
  /**
   * Reads, on a connection opened for it alone, the server's activity for a connection of {@link open}: a statement, or
   * nothing that it could answer. `busy` is also the result if the activity is unknown, such as behind a pooler.
   *
   * @param login as for {@link cancel}
   * @returns `unreachable` if the server does not answer
   */
  examine(database: Identifier, processId: number | undefined, login?: Login): Promise<SessionState>
  /** Counts the marked sessions of an installation, in all databases, in one query. */
  occupancy(session: Pick<Session, 'query'>, question: OccupancyQuestion): Promise<Occupancy>
  /** True for the driver's error of a cancelled statement, or an ORM's that replaces it. */
  readonly isCancellation: (error: Error) => boolean
  /** Returns the environment in which libpq's programs and most drivers connect. It holds the password. */
  environment(database: Identifier, as?: Pick<SessionOptions, 'login' | 'role'>): Readonly<Record<string, string>>
  /**
   * Carries out changes in their order, all or none, in one round trip: within the session's open transaction, if there
   * is one.
   */
  apply(session: Session, changes: readonly Change[]): Promise<void>
  /**
   * Reports the abilities of the server and its role, missing privileges and recommended changes; tried in scratch
   * names, which are dropped afterwards. A failure to connect is in the diagnosis.
   *
   * @throws `aborted`
   */
  diagnose(request: DiagnosisRequest): Promise<ServerDiagnosis>
}
