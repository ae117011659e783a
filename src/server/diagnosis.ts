import type { Cancellable } from '../kernel/abort.ts'
import type { TenantryError } from '../kernel/errors.ts'
import type { Identifier, Installation } from '../kernel/names.ts'

/** What a server is to be examined for. */
export interface DiagnosisRequest extends Cancellable {
  readonly installation: Installation
  /** Whether each tenant has a role of its own, or all share that of the connection. */
  readonly roles: 'separate' | 'shared'
  /** The extensions that every tenant's database has. */
  readonly extensions: readonly Identifier[]
  /** How many connections one process may hold on the server at once. */
  readonly connections: number
  /** Whether to try things in scratch names; otherwise it only reads. */
  readonly probe: boolean
}

/** Whose PostgreSQL it is, by the roles and settings that are there; `plain` where nothing shows it. */
export type ManagedService = 'plain' | 'rds' | 'cloud-sql' | 'azure' | 'supabase' | 'neon'

/**
 * What was tried, and whether it worked: true or false by experiment, never by a version number. Undefined is what was
 * not tried, because it is not needed, or because what it builds on failed.
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
  /** A notification that another session hears. */
  readonly notifications: boolean | undefined
  /** CREATE EXTENSION of one that PostgreSQL trusts, in a database of one's own. */
  readonly trustedExtension: boolean | undefined
  /** CREATE ROLE. */
  readonly createRole: boolean | undefined
  /** Becoming a member of the roles that own, with their privileges, and acting as them. */
  readonly joinRoles: boolean | undefined
  /** A login role that is made with a SCRAM verifier as a member of a group. */
  readonly createLogin: boolean | undefined
  /** CREATE DATABASE with another role as its OWNER. */
  readonly createForOwner: boolean | undefined
  /** ALTER DATABASE ... OWNER TO another role. */
  readonly changeOwner: boolean | undefined
  /** CONNECT is taken from PUBLIC and given to one role, as the ACL that was read back says. */
  readonly revokePublicAccess: boolean | undefined
  /** Tables that belong to another role, with default privileges for a group. */
  readonly createAsRole: boolean | undefined
  /** That login role logs in with its password. */
  readonly logIn: boolean | undefined
  /** Its session is ended by the connecting role as it is. */
  readonly endSessions: boolean | undefined
  /** Its session is ended by becoming a member of that role for one transaction. */
  readonly endSessionsAsMember: boolean | undefined
  /** ALTER ROLE ... NOLOGIN. */
  readonly disableLogin: boolean | undefined
  /** DROP ROLE. */
  readonly dropRole: boolean | undefined
}

/** The name of one of {@link Capabilities}. */
export type Capability = keyof Capabilities

/** One of the capabilities that was tried. */
export interface Trial {
  readonly capability: Capability
  /** The same in words: what the role can do, or cannot. */
  readonly what: string
  readonly worked: boolean
  /** What the server said, where it did not work. */
  readonly message: string | undefined
  readonly sqlState: string | undefined
}

/** Something that is needed and not there. */
export interface Missing {
  /**
   * - `connect`: the way into the maintenance database
   * - `create-database`: CREATEDB
   * - `create-role`: CREATEROLE; `roles: 'shared'` does without
   * - `use-roles`: the privileges of the roles that own databases and tables
   * - `end-sessions`: ending tenants' sessions
   * - `own-databases`: databases of this installation that belong to somebody else
   * - `extension`: an extension of the configuration
   * - `unsupported`: something that no privilege gives; the server, or the service that it runs on, refuses it
   */
  readonly code:
    | 'connect'
    | 'create-database'
    | 'create-role'
    | 'use-roles'
    | 'end-sessions'
    | 'own-databases'
    | 'extension'
    | 'unsupported'
  /** What is missing, and what it is for. */
  readonly what: string
  /** The statements that grant it; none where none does. */
  readonly sql: readonly string[]
  /** Who can run them; undefined where there are none. */
  readonly runAs: string | undefined
}

/** Something that works, and is better otherwise. docs/commands/doctor.md has every code. */
export interface Warning {
  readonly code: WarningCode
  /** What was found. */
  readonly found: string
  /** Why it matters. */
  readonly why: string
  /** What to do. */
  readonly fix: string
  /** The statements for that, where there are any. */
  readonly sql: readonly string[]
}

/** Every code that a {@link Warning} can have. */
export const warningCodes = [
  'collation-version',
  'createrole-before-16',
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

/** Something that this role may not look at, so that nothing is said of it. */
export interface Unseen {
  readonly code: WarningCode
  /** What could not be seen, and what it takes. */
  readonly what: string
}

/** The connecting role. */
export interface RoleAttributes {
  readonly name: string
  readonly superuser: boolean
  readonly createDatabase: boolean
  readonly createRole: boolean
  /** Whether it has the privileges of the roles that it is a member of. */
  readonly inherit: boolean
  /** Whether it has those of pg_signal_backend. */
  readonly signalBackend: boolean
  /** How many connections it may have; -1 for no limit. */
  readonly connectionLimit: number
}

/** A server that was looked at. */
export interface ExaminedServer {
  readonly reachable: true
  /** The name that the catalog knows it by. */
  readonly server: string
  /** Host and port. */
  readonly address: string
  readonly version: string
  readonly service: ManagedService
  readonly role: RoleAttributes
  readonly capabilities: Capabilities
  /** The same one by one, in the order that they were tried in, with what the server said. */
  readonly tried: readonly Trial[]
  readonly missing: readonly Missing[]
  readonly warnings: readonly Warning[]
  readonly unseen: readonly Unseen[]
}

/** A server that could not be looked at, and why. */
export interface UnreachableServer {
  readonly reachable: false
  readonly server: string
  readonly address: string
  readonly error: TenantryError
  readonly missing: readonly Missing[]
}

/** What was found at one server. */
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
  logIn: undefined,
  endSessions: undefined,
  endSessionsAsMember: undefined,
  disableLogin: undefined,
  dropRole: undefined,
}
