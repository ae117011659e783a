import type { Cancellable } from '../kernel/abort.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Cancelled, ConnectionPool, QueryClient } from './connection-pool.ts'
import type {
  CreateDatabaseOptions,
  DatabaseChange,
  DatabaseInfo,
  DatabaseSearch,
  StampedDatabase,
} from './database.ts'
import type { DiagnosisRequest, ServerDiagnosis } from './diagnosis.ts'
import type { Occupancy, OccupancyQuestion, SessionMark } from './occupancy.ts'
import type { SessionDefaults } from './session-defaults.ts'
import type { StructureAccess } from './structure.ts'
import type { EndingOptions, LoginsUnderWay, TenantSessions, WhichSessions } from './tenant-sessions.ts'

export type { SessionDefaults } from './session-defaults.ts'

export type * from './connection-pool.ts'
export type * from './database.ts'
export type * from './tenant-sessions.ts'

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
}

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
  /** Runs several statements in one round trip, all or (outside of a transaction as well) none. */
  script(statements: readonly string[]): Promise<void>
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
  /** Releases an advisory lock that was taken by {@link lock} or {@link tryLock} on this connection. */
  unlock(name: string, mode: 'exclusive' | 'shared'): Promise<void>
  /** The statements that grant the session's role the missing privileges to create these; none if it has them. */
  missingGrants(creation: Creation): Promise<readonly string[]>
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

/** A role that can log in, and its password. */
export interface Login {
  readonly user: Identifier
  readonly password: Secret
}

/** Roles that cannot log in, and that all databases of an installation on a server have in common. */
export interface GroupRoles {
  /** Owns the databases, but no objects in them: code of one database that runs as it could change all others. */
  readonly owner: Identifier
  /** Owns the objects in the databases, but no database. */
  readonly objects: Identifier
  /** Its members may read and write the objects in the databases. */
  readonly app: Identifier
}

/**
 * Operations on the roles of a server. Statements may be part of a transaction, and hold no password, only its
 * verifier.
 */
export interface RoleAdministration {
  /** Makes missing groups, and joins the session's role to the owning ones. @throws `permission-denied` with the SQL */
  ensureGroups(session: Session, groups: GroupRoles): Promise<void>
  /**
   * The statements after which only the members of a database's owner may connect to it, and roles with a grant of
   * their own. They fail with SQLSTATE 42501 if PUBLIC still may, since REVOKE itself may merely warn.
   */
  revokePublicAccess(database: Identifier, groups: GroupRoles | undefined): string[]
  /** The statements for an empty database, after which `objects` can create in it, and `app` can use the objects. */
  prepare(groups: GroupRoles): string[]
  /**
   * The statements, for a session in a database of another origin, that transfer it and the session role's objects in
   * it to the groups. Objects of others stay theirs.
   */
  takeOver(database: Identifier, groups: GroupRoles): string[]
  /**
   * The statements that make a role, a member of `app`, or give an existing one this password; and allow it to log in
   * and to connect to a database, or neither. All settings of an existing role are reset, also those for single
   * databases.
   */
  establish(
    login: Login & { readonly connectionLimit: number },
    groups: GroupRoles,
    database: Identifier,
    mode: 'enabled' | 'disabled',
  ): Promise<string[]>
  /**
   * The statements that make a temporary login role with the privileges of `objects`, in one database. Unlike a role
   * that merely acts as `objects`, code in its session can become no other role.
   */
  createTemporaryRole(login: Login, groups: GroupRoles, database: Identifier): Promise<string[]>
  /** The statement that resets all settings of a role (ALTER ROLE ... SET); it writes only if there are any. */
  resetSettings(user: Identifier): string
  /** The statements that disable the login of a role, and revoke its privilege to connect to a database, if given. */
  disableLogin(user: Identifier, database?: Identifier): string[]
  /** The statements that undo {@link disableLogin}. Neither fails if the role does not exist. */
  enableLogin(user: Identifier, database: Identifier): string[]
  rename(from: Identifier, to: Identifier): string
  /**
   * Returns the query for the objects that the groups cannot use in the way that they can use those of `objects`, as rows
   * of `WrongPrivileges`.
   *
   * @param tables those that `app` must be able to read and write, as `schema.name`
   */
  wrongPrivilegesQuery(groups: GroupRoles, tables: readonly string[], defaultSchema: string): string
  /** Returns the roles whose names begin with a prefix, and true for each that can log in. */
  find(session: Session, prefix: string): Promise<ReadonlyMap<Identifier, { readonly canLogIn: boolean }>>
}

/** Options of dropping a role. */
export interface DropRoleOptions {
  /** The database that it may still have a privilege to connect to. */
  readonly database?: Identifier | undefined
  /**
   * Returns the role that receives the dropped role's objects in another database, by the comment on that database;
   * undefined if they are dropped with the role.
   */
  readonly heir: (comment: string | undefined) => Identifier | undefined
}

/** Options of a session, besides its signal. */
export interface SessionOptions extends Cancellable {
  /** The role that logs in; the role that administers by default. */
  readonly login?: Login | undefined
  /** The role to act as; the login role by default. */
  readonly role?: Identifier | undefined
}

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

/** The listeners of a listening session. */
export interface Listeners {
  readonly onMessage: (payload: string) => void
  /** Called once when the session has ended, for any reason. */
  readonly onEnd: () => void
}

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
  readonly roles: RoleAdministration
  readonly structures: StructureAccess
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
  /** Opens a session that receives a channel's notifications in its database. The caller runs one query at a time. */
  listen(database: Identifier, channel: string, listeners: Listeners): Promise<Session>
  /** True for the driver's error of a cancelled statement, or an ORM's that replaces it. */
  readonly isCancellation: (error: Error) => boolean
  /** Describes the existing ones among some databases, in one query. */
  describe(session: Session, databases: readonly Identifier[]): Promise<readonly DatabaseInfo[]>
  /** Describes all databases that match, in the order of their names, in one query. */
  find(session: Session, search: DatabaseSearch): Promise<readonly DatabaseInfo[]>
  /** Returns all databases whose comment contains a text, in one query. */
  commented(session: Session, text: string): Promise<readonly StampedDatabase[]>
  /** Returns the schemas in which every role of the server may create, if every role may connect to the database. */
  schemasOpenToPublic(session: Session): Promise<readonly string[]>
  /**
   * Returns the server's process ids of the sessions in a database, besides this one: all, or those that may be a
   * service's work (no backup by pg_dump, and no superuser's unless the session is one itself).
   *
   * @param how `busy` leaves out idle ones, if the session's role may see that
   */
  sessions(
    session: Session,
    database: Identifier,
    which: WhichSessions,
    how?: 'busy' | 'any',
  ): Promise<readonly number[]>
  /** Ends tenants' sessions, the one with the oldest transaction first, until the queue of notifications has room. */
  freeNotificationQueue(session: Session): Promise<void>
  /**
   * Rolls back the prepared transactions of tenants' roles in a database, and those of `user` in any: they outlive every
   * session, and keep a database from being renamed and dropped.
   */
  rollBackPrepared(session: Session, database: Identifier, user?: Identifier): Promise<void>
  /**
   * Ends the logins under way of a role, or to a database. PostgreSQL checks a role, and its access to the database, before
   * it shows the session: a client can delay that, and have a session although either was taken away since.
   *
   * @returns false if one is still under way
   */
  endLogins(session: Session, whose: LoginsUnderWay): Promise<boolean>
  /** Ends sessions by their process ids, without waiting until they are gone. @throws `permission-denied` */
  endSessions(session: Session, processIds: readonly number[]): Promise<void>
  /** Returns the environment in which libpq's programs and most drivers connect. It holds the password. */
  environment(database: Identifier, as?: Pick<SessionOptions, 'login' | 'role'>): Readonly<Record<string, string>>
  /** Creates a database. @returns false if one of that name exists, even if it was created at the same moment */
  create(session: Session, database: Identifier, options: CreateDatabaseOptions): Promise<boolean>
  /**
   * The statements that grant the session's role the privileges to create and rename databases; none if it has them.
   */
  missingToCreate(session: Session): Promise<readonly string[]>
  /**
   * Reports the abilities of the server and its role, missing privileges and recommended changes; tried in scratch
   * names, which are dropped afterwards. A failure to connect is in the diagnosis.
   *
   * @throws `aborted`
   */
  diagnose(request: DiagnosisRequest): Promise<ServerDiagnosis>
  /** The statement that renames a database; it may be part of a transaction. */
  renameStatement(from: Identifier, to: Identifier): string
  /** The statement that opens, closes, marks or unmarks a database; it may be part of a transaction. */
  alterStatement(database: Identifier, change: DatabaseChange): string
  /** The statement that creates a missing extension, in the session's own database. */
  extensionStatement(name: Identifier): string
  /** Drops a database, if it exists, and ends the sessions in it; not in a transaction. @throws `permission-denied` */
  drop(session: Session, database: Identifier): Promise<void>
  /**
   * Drops a role, if it exists, with its objects and privileges in any database; not in a transaction.
   *
   * @returns false if it stays, because it may connect to a database that was not named
   * @throws `query-failed` with the statements, if other roles renew their grants faster than they are revoked
   */
  dropRole(session: Session, user: Identifier, options: DropRoleOptions): Promise<boolean>
  /** True if a role owns an object in a database. */
  ownsAnything(session: Session, database: Identifier, user: Identifier): Promise<boolean>
  /** Transfers a role's objects in a database to another role. */
  reassignOwned(database: Identifier, from: Identifier, to: Identifier): Promise<void>
  /** Returns the server's time, as text for {@link endSessionsBefore}. */
  clock(session: Session): Promise<string>
  /**
   * Ends a role's sessions that began before a moment of {@link clock}. @returns false if some remain after some
   * seconds
   */
  endSessionsBefore(session: Session, user: Identifier, moment: string, options: EndingOptions): Promise<boolean>
  /** The statement that sets the comment on a database; it may be part of a transaction. */
  commentStatement(database: Identifier, comment: string): string
}
