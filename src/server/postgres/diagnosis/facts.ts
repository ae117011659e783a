import type { Identifier, Installation } from '../../../kernel/names.ts'
import type { Capabilities, RoleAttributes } from '../../diagnosis.ts'
import type { Refusal } from './attempts.ts'
import type { ScratchName } from './scratch.ts'

/** Everything that is known of a server: what was read, and what was tried. {@link diagnose} makes findings of it. */
export interface ServerFacts {
  readonly installation: Installation
  readonly roles: 'separate' | 'shared'
  readonly maintenanceDatabase: Identifier
  /** How many connections one process may hold on it at once. */
  readonly connections: number
  readonly read: ReadFacts
  /** Undefined where nothing was tried. */
  readonly probed: ProbedFacts | undefined
}

/** What was read. What the role may not see is undefined. */
export interface ReadFacts {
  readonly version: string
  readonly role: RoleAttributes
  /** The roles and settings by which services are known, so far as they are there. */
  readonly markers: readonly string[]
  /** Whether memberships have options of their own (INHERIT, SET), and CREATEROLE ends at the roles that one made. */
  readonly hasMembershipOptions: boolean
  readonly maxConnections: number
  /** Of them, those that are not for this role. */
  readonly reservedConnections: number
  readonly recoverySync: string
  readonly passwordEncryption: string
  readonly isEncrypted: boolean
  /** Whether the connection does not leave the machine. */
  readonly isLocal: boolean
  readonly databases: number
  readonly invalidDatabases: readonly string[]
  readonly oldCollations: readonly string[]
  /** The databases that every role may connect to. */
  readonly openToPublic: readonly string[]
  /** Of those, the ones in which every role may create as well, with the schemas. */
  readonly publicSchemas: ReadonlyMap<string, readonly string[]>
  /** Those that were not looked into. */
  readonly unvisited: readonly string[]
  /** Those of the installation's three roles that are there. */
  readonly ownRoles: readonly OwnRole[]
  /** Who owns databases of this installation that the role may not change. */
  readonly foreignOwners: readonly { readonly owner: string; readonly databases: readonly string[] }[]
  /** Directories that no database belongs to. */
  readonly leakedDirectories: readonly string[] | undefined
  /** The rules of pg_hba.conf that let in without a password. */
  readonly trustRules: readonly string[] | undefined
  /** What earlier probes left. */
  readonly leftovers: readonly ScratchName[]
}

/** One of the roles of an installation that is there already. */
export interface OwnRole {
  readonly name: Identifier
  readonly purpose: 'owner' | 'objects' | 'app'
  /** Whether the connecting role has its privileges. */
  readonly mayUse: boolean
  /** Whether it may act as it. */
  readonly maySet: boolean
  /** Whether it may make members of it. */
  readonly mayAdmit: boolean
  /** Who else may. */
  readonly admins: readonly string[]
}

/** What was tried. */
export interface ProbedFacts {
  readonly capabilities: Capabilities
  readonly refusals: readonly Refusal[]
  /** Of the extensions of the configuration, those that could not be made. */
  readonly refusedExtensions: readonly { readonly name: string; readonly message: string }[]
  /** Whether somebody got in with a wrong password; undefined where that was not tried. */
  readonly isWrongPasswordAccepted: boolean | undefined
}
