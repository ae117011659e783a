import type { Cancellable } from '../kernel/abort.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Secret } from '../kernel/secret.ts'
import type { ConnectionPool, QueryClient } from './connection-pool.ts'
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

export type { SessionDefaults } from './session-defaults.ts'

export type * from './connection-pool.ts'
export type * from './database.ts'

/** What a statement gave back. */
export interface QueryResult<Row> {
  readonly command: string
  readonly rowCount: number | null
  readonly rows: Row[]
}

/** How a transaction runs. */
export interface TransactionOptions {
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
  readonly readOnly?: boolean
  /** What is acknowledged survives a crash, whatever the server's default for synchronous_commit. */
  readonly durable?: boolean
  /** Where the unqualified names of a {@link Session.script} belong, and what definitions that are read leave out. */
  readonly schema?: string
}

/** What is to be created in a database, as far as privileges go. Names in the default schema are not qualified. */
export interface Creation {
  /** The schemas to create. One that is there counts as such to a role that may not see it. */
  readonly newSchemas: readonly string[]
  /** The schemas to create in, so far as they exist. */
  readonly schemas: readonly string[]
  /** The existing tables to add to. */
  readonly altered: readonly string[]
  /** The existing tables to refer to by a foreign key. */
  readonly referenced: readonly string[]
}

/**
 * One connection to one database, for one piece of administration, used by one caller at a time.
 *
 * The signal it was opened with cancels whatever runs on it.
 */
export interface Session {
  readonly database: string
  /** The role it is connected as. */
  readonly user: string
  /** Runs one statement; `params` are its `$1, $2, ...`. */
  query<Row extends object>(sql: string, params?: readonly unknown[]): Promise<QueryResult<Row>>
  /** Runs several statements in one round trip, all or (outside of a transaction as well) none. */
  script(statements: readonly string[]): Promise<void>
  /** Runs `work` in a transaction: committed when it resolves, rolled back when it rejects. */
  transaction<T>(work: () => Promise<T>, options?: TransactionOptions): Promise<T>
  /**
   * Takes an advisory lock of this database, for the open transaction or for the rest of the session. It is tried and
   * tried again, not waited for in the server, where waiting can deadlock with CREATE INDEX CONCURRENTLY.
   *
   * @throws `lock-timeout` after `limitMs` milliseconds
   */
  lock(name: string, scope: 'transaction' | 'session', limitMs: number): Promise<void>
  /**
   * Takes an advisory lock of this database for the rest of the session if it is free at this moment. A shared one is
   * free to all who want it shared.
   */
  tryLock(name: string, mode: 'exclusive' | 'shared'): Promise<boolean>
  /** Gives back an advisory lock that was taken by {@link lock} or {@link tryLock} on this connection. */
  unlock(name: string, mode: 'exclusive' | 'shared'): Promise<void>
  /** The statements that grant the session's role what it lacks to create these; none where it lacks nothing. */
  missingGrants(creation: Creation): Promise<readonly string[]>
  /**
   * This connection as a pool of one, for libraries that want a `pg` pool. Ending it does nothing. In a transaction with
   * a schema, definitions are worded as in that schema, and still no function or operator is found there.
   */
  asPool(): ConnectionPool
  close(): Promise<void>
}

/** Sessions on one database that are used again, so that not every piece of work has to connect. */
export interface SessionPool {
  /** A session, whose closing gives it back: its locks are free then, and its transaction is over. */
  connect(options?: Cancellable): Promise<Session>
  end(): Promise<void>
}

/** A connection as a server opens it for routing: it can be told to close, and it says when it is gone. */
export interface ServerConnection extends QueryClient {
  /** Says what parses a type's text from now on, where a query does not say so itself. */
  setTypeParser(oid: number, parse: (text: string) => unknown): void
  /** Whether it can do no more work, because it ended or is about to. */
  readonly broken: boolean
  /** How many bytes went over it so far, in both directions. */
  readonly traffic: number
  /** True while the server owes it an answer. A cursor that waits for whoever reads it is owed none. */
  readonly isAwaited: boolean
  /** Whether a transaction is open (or failed and not rolled back) on it. */
  inTransaction(): boolean
  /** Rolls an open transaction back. */
  rollback(): Promise<void>
  /** Makes the session as it was when it began: settings, temporary tables, locks, prepared statements and all. */
  reset(): Promise<void>
  /** Calls back once, when the connection has ended for whatever reason. */
  onEnd(listener: () => void): void
  close(): Promise<void>
  /** Hangs up, whatever is under way, which fails. */
  cut(): void
}

/** What a server does for a session, as far as can be told. */
export type SessionState = 'busy' | 'idle' | 'unreachable'

/** A role that can log in, and its password. */
export interface Login {
  readonly user: Identifier
  readonly password: Secret
}

/** Roles that cannot log in, and that all databases of an installation on a server have in common. */
export interface GroupRoles {
  /** Owns the databases. It owns nothing in them: what one of them runs as it could change all others. */
  readonly owner: Identifier
  /** Owns what is in the databases, and none of them. */
  readonly objects: Identifier
  /** Its members may read and write what is in the databases. */
  readonly app: Identifier
}

/**
 * What there is to do with the roles of a server. The statements may all be part of a transaction, and hold no password:
 * only what PostgreSQL itself keeps of one.
 */
export interface RoleAdministration {
  /**
   * Makes the groups where they are missing, and the session's role a member of those that own.
   *
   * @throws `permission-denied` with the statement that grants what is missing
   */
  ensureGroups(session: Session, groups: GroupRoles): Promise<void>
  /**
   * The statements after which nobody may connect to a database but its owner's members and those who are let in. They
   * fail with SQLSTATE 42501 where PUBLIC still may, since REVOKE itself may merely warn.
   */
  seclude(database: Identifier, groups: GroupRoles | undefined): string[]
  /** The statements, for a session in an empty database, after which `objects` can make things there, and `app` use them. */
  prepare(groups: GroupRoles): string[]
  /**
   * The statements, for a session in a database that somebody else made, by which it and what the session's role has in it
   * go over to the groups. What others have in it stays theirs.
   */
  takeOver(database: Identifier, groups: GroupRoles): string[]
  /**
   * The statements that make a role, a member of `app`, or give one that is there this password; and let it log in and
   * connect to a database, or neither. All settings of a role that is there are reset, also those for single databases.
   */
  establish(
    login: Login & { readonly connectionLimit: number },
    groups: GroupRoles,
    database: Identifier,
    mode: 'let-in' | 'locked-out',
  ): Promise<string[]>
  /**
   * The statements that make a role which logs in for a while and can do what `objects` can, in one database. Unlike a role
   * that merely acts as `objects`, what runs in its session can become nothing else.
   */
  hire(login: Login, groups: GroupRoles, database: Identifier): Promise<string[]>
  /** The statements after which a role cannot log in, nor connect to a database, where one is named. */
  lockOut(user: Identifier, database?: Identifier): string[]
  /** The statements that undo {@link lockOut}. Neither fails where the role is gone. */
  letIn(user: Identifier, database: Identifier): string[]
  rename(from: Identifier, to: Identifier): string
  /**
   * The query for what the groups cannot use in a database as they can use what `objects` makes, as rows of
   * `WrongPrivileges`.
   *
   * @param tables those that `app` must be able to read and write, as `schema.name`
   */
  wrongPrivilegesQuery(groups: GroupRoles, tables: readonly string[]): string
  /** The roles whose names begin with this, and whether each can log in. */
  find(session: Session, prefix: string): Promise<ReadonlyMap<Identifier, { readonly canLogIn: boolean }>>
}

/** How a role is dropped. */
export interface DropRoleOptions {
  /** The database that it may still be let into. */
  readonly database?: Identifier | undefined
  /**
   * The role that takes over what the dropped one owns in another database, by the comment on that database; undefined
   * where it is dropped with the role.
   */
  readonly heir: (comment: string | undefined) => Identifier | undefined
}

/** How a session is opened, beside its signal. */
export interface SessionOptions extends Cancellable {
  /** Who logs in; the role that administers by default. */
  readonly login?: Login | undefined
  /** The role to act as; that which logs in by default. */
  readonly role?: Identifier | undefined
}

/** How a pool's connections are opened. */
export interface PoolOptions extends Pick<SessionOptions, 'login' | 'role'>, Pick<SessionDefaults, 'isolationLevel'> {
  /** `service`: names are looked up as in a tenant's session. Default `administration`: they are PostgreSQL's own. */
  readonly purpose?: 'administration' | 'service'
}

/**
 * All sessions, or those that may be work; `workOf` names a role whose sessions always are, whatever they call themselves
 * and in whatever database they are; `of` the role whose sessions alone are meant, in whatever database they are.
 */
export type WhichSessions = 'all' | 'work' | { readonly workOf: Identifier } | { readonly of: Identifier }

/** How a connection for routing is opened. */
export interface OpenOptions {
  readonly session?: SessionDefaults | undefined
  /** Who logs in; the role that administers by default. */
  readonly login?: Login | undefined
  readonly mark?: SessionMark | undefined
}

/** What a listening session tells. */
export interface Listeners {
  readonly onMessage: (payload: string) => void
  /** The session is gone, whoever ended it; called once. */
  readonly onEnd: () => void
}

/** A tenant's session, or its prepared transaction, that was ended because administration waited for it. */
export interface EndedBlocker {
  /** The role. */
  readonly user: string
  readonly database: string | undefined
  /** The server's process id; undefined for a prepared transaction. */
  readonly processId: number | undefined
  /** The name of the prepared transaction that was rolled back; undefined for a session. */
  readonly transaction: string | undefined
}

/** The tenants whose roles are not to keep administration waiting. */
export interface TenantSessions {
  /** The beginning of the names of their roles. */
  readonly rolePrefix: string
  readonly onEnded: (ended: EndedBlocker) => void
}

/** How sessions are ended. */
export interface EndingOptions extends Cancellable {
  /** How long they may take to end by themselves, in milliseconds. */
  readonly quietMs: number
}

/** One database server. Sessions always go to the server itself; only the connections of `open` may go through a pooler. */
export interface Server {
  /** The name that the catalog knows it by. */
  readonly name: string
  /** Host and port, for messages. */
  readonly description: string
  /** Whether it is on this machine. */
  readonly isLocal: boolean
  /** How many connections routing may hold on it at once, in all processes of an installation together. */
  readonly maxConnections: number
  /**
   * When the pooler that `open` goes through lends its connections to others: at the end of a session, or of each
   * transaction, where nothing that was set holds on. Undefined without one.
   */
  readonly pooling: 'session' | 'transaction' | undefined
  /** The database where others are created and dropped from. */
  readonly maintenanceDatabase: Identifier
  readonly roles: RoleAdministration
  readonly structures: StructureAccess
  /**
   * The same server for one installation: an administrative statement that waits for a tenant's session, or for a
   * prepared transaction of a tenant, ends it.
   */
  overTenants(tenants: TenantSessions): Server
  /**
   * Opens a session.
   *
   * @throws `database-missing`, `authentication-failed`, `server-unreachable` and what else may be wrong
   */
  connect(database: Identifier, options?: SessionOptions): Promise<Session>
  /** At most `max` sessions on one database that are kept for the next user for a while. It connects when it is used. */
  sessionPool(database: Identifier, max: number): SessionPool
  /** A pool of at most `max` connections to one database. It connects when it is used. */
  pool(database: Identifier, max: number, options?: PoolOptions): ConnectionPool
  /**
   * Runs one statement beside a connection of {@link open}, to cancel what runs on it: on a connection opened for it alone,
   * as the login given. Behind a pooler `select pg_cancel_backend(<processID>)` is understood and done otherwise.
   */
  control(database: Identifier, sql: string, login?: Login): Promise<void>
  /** Opens a connection for routing. */
  open(database: Identifier, options?: OpenOptions): Promise<ServerConnection>
  /**
   * Looks, on a connection opened for it alone, what the server does for a connection of {@link open}: a statement, or
   * nothing that it could answer. `busy` is also what cannot be told, such as behind a pooler.
   *
   * @param login as for {@link control}
   * @returns `unreachable` if nobody answers
   */
  examine(database: Identifier, processId: number | undefined, login?: Login): Promise<SessionState>
  /** Counts the marked sessions of an installation, in all databases, in one query. */
  occupancy(session: Pick<Session, 'query'>, question: OccupancyQuestion): Promise<Occupancy>
  /** Opens a session that hears what is sent to a channel of its database. Who calls it lets one query end at a time. */
  listen(database: Identifier, channel: string, listeners: Listeners): Promise<Session>
  /** Describes those of the databases that are there, in one query. */
  describe(session: Session, databases: readonly Identifier[]): Promise<readonly DatabaseInfo[]>
  /** Describes all databases that fit, in the order of their names, in one query. */
  find(session: Session, search: DatabaseSearch): Promise<readonly DatabaseInfo[]>
  /** All databases whose comment has this text in it, in one query. */
  commented(session: Session, text: string): Promise<readonly StampedDatabase[]>
  /** The schemas of the session's database in which every role of the server may create, where every role may connect. */
  schemasOpenToPublic(session: Session): Promise<readonly string[]>
  /**
   * The server's process ids of the sessions in a database, besides this one: all, or those that may be a service's work
   * (no backup by pg_dump, and no superuser's unless the session is one itself).
   *
   * @param how `busy` leaves out those that are idle, as far as the session's role may see that
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
   * Rolls back the prepared transactions of tenants' roles in a database: they outlive every session, and keep a database
   * from being renamed and dropped.
   */
  rollBackPrepared(session: Session, database: Identifier): Promise<void>
  /** Ends sessions by their process ids, without waiting until they are gone. @throws `permission-denied` */
  endSessions(session: Session, processIds: readonly number[]): Promise<void>
  /** What libpq's programs and most drivers read from their environment to connect. It holds the password. */
  environment(database: Identifier, as?: Pick<SessionOptions, 'login' | 'role'>): Readonly<Record<string, string>>
  /**
   * Creates a database.
   *
   * @returns false when a database of that name is there, be it since a moment
   */
  create(session: Session, database: Identifier, options: CreateDatabaseOptions): Promise<boolean>
  /** The statements that grant the session's role what it lacks to create and rename databases; none where it may. */
  missingToCreate(session: Session): Promise<readonly string[]>
  /**
   * Says what the server and its role can do, what is missing and what is better otherwise; tried in scratch names, which
   * are gone afterwards. What is wrong with the connection is in the diagnosis.
   *
   * @throws `aborted`
   */
  diagnose(request: DiagnosisRequest): Promise<ServerDiagnosis>
  /** The statement that renames a database; it may be part of a transaction. */
  renameStatement(from: Identifier, to: Identifier): string
  /** The statement that opens, closes, marks or unmarks a database; it may be part of a transaction. */
  alterStatement(database: Identifier, change: DatabaseChange): string
  /** The statement that creates an extension, if it is not there, in the session's own database. */
  extensionStatement(name: Identifier): string
  /** Drops a database, if it is there, and ends the sessions in it; not in a transaction. @throws `permission-denied` */
  drop(session: Session, database: Identifier): Promise<void>
  /**
   * Drops a role, if it exists, with what it owns and what it was granted in any database; not in a transaction.
   *
   * @returns false where it stays, because it is let into a database that was not named
   * @throws `query-failed` with the statements, where the grants of others come back faster than they are revoked
   */
  dropRole(session: Session, user: Identifier, options: DropRoleOptions): Promise<boolean>
  /** True if a role owns something in a database. */
  ownsAnything(session: Session, database: Identifier, user: Identifier): Promise<boolean>
  /** Gives what a role owns in a database to another role. */
  reassignOwned(database: Identifier, from: Identifier, to: Identifier): Promise<void>
  /** The server's time, as text for {@link endSessionsBefore}. */
  clock(session: Session): Promise<string>
  /**
   * Ends the sessions of a role, in whatever database, that began before a moment of {@link clock}.
   *
   * @returns false where some are still there after some seconds
   */
  endSessionsBefore(session: Session, user: Identifier, moment: string, options: EndingOptions): Promise<boolean>
  /** The statement that sets the comment on a database; it may be part of a transaction. */
  commentStatement(database: Identifier, comment: string): string
}
