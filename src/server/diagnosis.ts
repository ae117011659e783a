import type { Cancellable } from '../kernel/abort.ts'
import type { TenantryError } from '../kernel/errors.ts'
import type { Identifier, Installation } from '../kernel/names.ts'
import type { Session } from './session.ts'

/** The parameters of a diagnosis. */
export interface DiagnosisRequest extends Cancellable {
  readonly installation: Installation
  /** `separate` if each tenant has a role of its own; `shared` if all use that of the connection. */
  readonly roles: 'separate' | 'shared'
  /** The extensions that every tenant's database has. */
  readonly extensions: readonly Identifier[]
  /** The number of connections that one process may hold on the server at once. */
  readonly connections: number
  /** Tries operations in scratch names; otherwise it only reads. */
  readonly probe: boolean
  /**
   * Creates the tables of the models in the session's empty database, and compares them with the models. Undefined where
   * no models are configured.
   */
  readonly tryModels?: ((session: Session) => Promise<void>) | undefined
}

/** The managed service that runs PostgreSQL, recognised by its roles and settings; `plain` if nothing shows it. */
export type ManagedService = 'plain' | 'rds' | 'cloud-sql' | 'azure' | 'supabase' | 'neon'

/**
 * The results of trials: true or false by experiment, never by a version number. Undefined for a trial that was not
 * made, because it is not needed, or because one that it builds on failed.
 */
export interface Capabilities {
  /** CREATE DATABASE, from template0 and closed to connections. */
  readonly createDatabase: boolean | undefined
  /** CREATE DATABASE from a template that is closed to connections. */
  readonly cloneClosedDatabase: boolean | undefined
  /** A renaming and a comment that are rolled back together, and committed together. */
  readonly renameInTransaction: boolean | undefined
  /** ALTER DATABASE ... ALLOW_CONNECTIONS. */
  readonly openDatabase: boolean | undefined
  /** COMMENT ON DATABASE, read back. */
  readonly commentOnDatabase: boolean | undefined
  /** DROP DATABASE ... WITH (FORCE). */
  readonly dropDatabase: boolean | undefined
  /** An advisory lock that another session cannot take. */
  readonly advisoryLocks: boolean | undefined
  /** A notification that arrives in another session. */
  readonly notifications: boolean | undefined
  /** CREATE EXTENSION of one that PostgreSQL trusts, in a database of one's own. */
  readonly trustedExtension: boolean | undefined
  /** CREATE ROLE. */
  readonly createRole: boolean | undefined
  /** Membership in the roles that own, with their privileges, and acting as them. */
  readonly joinRoles: boolean | undefined
  /** A login role that is made with a SCRAM verifier as a member of a group. */
  readonly createLogin: boolean | undefined
  /** CREATE DATABASE with another role as its OWNER. */
  readonly createForOwner: boolean | undefined
  /** ALTER DATABASE ... OWNER TO another role. */
  readonly changeOwner: boolean | undefined
  /** CONNECT is revoked from PUBLIC and granted to one role, as the ACL shows that was read back. */
  readonly revokePublicAccess: boolean | undefined
  /** Tables that belong to another role, with default privileges for a group. */
  readonly createAsRole: boolean | undefined
  /** The tables of the configured models, which then match them. */
  readonly createModels: boolean | undefined
  /** That login role logs in with its password. */
  readonly logIn: boolean | undefined
  /** The connecting role ends its session with its own privileges. */
  readonly endSessions: boolean | undefined
  /** The connecting role ends its session by acting as that role. */
  readonly endSessionsAsMember: boolean | undefined
  /** ALTER ROLE ... NOLOGIN. */
  readonly disableLogin: boolean | undefined
  /** DROP ROLE. */
  readonly dropRole: boolean | undefined
}

/** The name of one of {@link Capabilities}. */
export type Capability = keyof Capabilities

/** One capability that was tried. */
export interface Trial {
  readonly capability: Capability
  /** The capability in words: the ability of the role, or the lack of it. */
  readonly what: string
  readonly worked: boolean
  /** The server's message, if it failed. */
  readonly message: string | undefined
  readonly sqlState: string | undefined
}

/** A required privilege or object that is missing. */
export interface Missing {
  /**
   * - `connect`: connections to the maintenance database
   * - `create-database`: CREATEDB
   * - `create-role`: CREATEROLE; not needed with `roles: 'shared'`
   * - `use-roles`: the privileges of the roles that own databases and tables
   * - `end-sessions`: ending tenants' sessions
   * - `own-databases`: databases of this installation that belong to another role
   * - `extension`: an extension of the configuration
   * - `models`: the tables of the models cannot be created, or do not match them then
   * - `unsupported`: an operation that no privilege allows; the server, or the service that it runs on, refuses it
   */
  readonly code:
    | 'connect'
    | 'create-database'
    | 'create-role'
    | 'use-roles'
    | 'end-sessions'
    | 'own-databases'
    | 'extension'
    | 'models'
    | 'unsupported'
  /** The missing part, and its purpose. */
  readonly what: string
  /** The statements that grant it; none if no statement does. */
  readonly sql: readonly string[]
  /** The role that can run them; undefined if there are none. */
  readonly runAs: string | undefined
}

/** A state that works, but that should be improved. docs/commands/doctor.md has every code. */
export interface Warning {
  readonly code: WarningCode
  /** The state. */
  readonly found: string
  /** The reason why it matters. */
  readonly why: string
  /** The remedy. */
  readonly fix: string
  /** The statements for the remedy, if there are any. */
  readonly sql: readonly string[]
}

/** Every code that a {@link Warning} can have. */
export const warningCodes = [
  'collation-version',
  'createrole-before-16',
  'encoding',
  'invalid-databases',
  'leaked-directories',
  'many-databases',
  'no-signal-backend',
  'no-tls',
  'password-encryption',
  'probe-leftovers',
  'public-connect',
  'public-create',
  'recovery-sync',
  'superuser',
  'too-few-connections',
  'trust-authentication',
] as const

/** One of {@link warningCodes}. */
export type WarningCode = (typeof warningCodes)[number]

/** A part that this role may not see, so that the diagnosis does not cover it. */
export interface Unseen {
  readonly code: WarningCode
  /** The part, and the privilege that it needs. */
  readonly what: string
}

/** The connecting role. */
export interface RoleAttributes {
  readonly name: string
  readonly superuser: boolean
  readonly createDatabase: boolean
  readonly createRole: boolean
  /** True if it has the privileges of the roles that it is a member of. */
  readonly inherit: boolean
  /** True if it has those of pg_signal_backend. */
  readonly signalBackend: boolean
  /** The number of connections that it may have; -1 for no limit. */
  readonly connectionLimit: number
}

/** A server that was examined. */
export interface ExaminedServer {
  readonly reachable: true
  /** The name of the server in the catalog. */
  readonly server: string
  /** Host and port. */
  readonly address: string
  readonly version: string
  readonly service: ManagedService
  readonly role: RoleAttributes
  readonly capabilities: Capabilities
  /** The same one by one, in the order of the trials, with the server's message. */
  readonly tried: readonly Trial[]
  readonly missing: readonly Missing[]
  readonly warnings: readonly Warning[]
  readonly unseen: readonly Unseen[]
}

/** A server that could not be examined, and the reason. */
export interface UnreachableServer {
  readonly reachable: false
  readonly server: string
  readonly address: string
  readonly error: TenantryError
  readonly missing: readonly Missing[]
}

/** The findings for one server. */
export type ServerDiagnosis = ExaminedServer | UnreachableServer

/** All capabilities before anything is tried. */
export const untried: Capabilities = {
  createDatabase: undefined,
  cloneClosedDatabase: undefined,
  renameInTransaction: undefined,
  openDatabase: undefined,
  commentOnDatabase: undefined,
  dropDatabase: undefined,
  advisoryLocks: undefined,
  notifications: undefined,
  trustedExtension: undefined,
  createRole: undefined,
  joinRoles: undefined,
  createLogin: undefined,
  createForOwner: undefined,
  changeOwner: undefined,
  revokePublicAccess: undefined,
  createAsRole: undefined,
  createModels: undefined,
  logIn: undefined,
  endSessions: undefined,
  endSessionsAsMember: undefined,
  disableLogin: undefined,
  dropRole: undefined,
}
