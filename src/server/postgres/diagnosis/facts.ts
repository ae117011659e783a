import type { Identifier, Installation } from '../../../kernel/names.ts'
import type { Capabilities, RoleAttributes } from '../../diagnosis.ts'
import type { Refusal } from './attempts.ts'
import type { ScratchName } from './scratch.ts'

/** All facts about a server: those read, and the results of trials. {@link diagnose} makes findings of them. */
export interface ServerFacts {
  readonly installation: Installation
  readonly roles: 'separate' | 'shared'
  readonly maintenanceDatabase: Identifier
  /** The number of connections that one process may hold on it at once. */
  readonly connections: number
  readonly read: ReadFacts
  /** Undefined if nothing was tried. */
  readonly probed: ProbedFacts | undefined
}

/** The facts that were read. A fact that the role may not see is undefined. */
export interface ReadFacts {
  readonly version: string
  readonly role: RoleAttributes
  /** The roles and settings by which services are recognised, if they exist. */
  readonly markers: readonly string[]
  /**
   * True if memberships have options of their own (INHERIT, SET), and CREATEROLE covers only the roles that one made.
   */
  readonly hasMembershipOptions: boolean
  readonly maxConnections: number
  /** The number of connections reserved for other roles. */
  readonly reservedConnections: number
  readonly recoverySync: string
  readonly passwordEncryption: string
  readonly isEncrypted: boolean
  /** True if the connection does not leave the machine. */
  readonly isLocal: boolean
  readonly databases: number
  /** The encoding of new databases. */
  readonly encoding: string
  readonly invalidDatabases: readonly string[]
  readonly oldCollations: readonly string[]
  /** The databases that every role may connect to. */
  readonly openToPublic: readonly string[]
  /** Of those, the ones in which every role may create as well, with the schemas. */
  readonly publicSchemas: ReadonlyMap<string, readonly string[]>
  /** The databases that were not examined. */
  readonly unvisited: readonly string[]
  /** The existing ones among the installation's three roles. */
  readonly ownRoles: readonly OwnRole[]
  /** The owners of databases of this installation that the role may not change. */
  readonly foreignOwners: readonly { readonly owner: string; readonly databases: readonly string[] }[]
  /** Directories that no database belongs to. */
  readonly leakedDirectories: readonly string[] | undefined
  /** The rules of pg_hba.conf that allow connections without a password. */
  readonly trustRules: readonly string[] | undefined
  /** The remains of earlier probes. */
  readonly leftovers: readonly ScratchName[]
}

/** One of the existing roles of an installation. */
export interface OwnRole {
  readonly name: Identifier
  readonly purpose: 'owner' | 'objects' | 'app'
  /** True if the connecting role has its privileges. */
  readonly mayUse: boolean
  /** True if it may act as it. */
  readonly maySet: boolean
  /** True if it may make members of it. */
  readonly mayAdmit: boolean
  /** The other roles that may. */
  readonly admins: readonly string[]
}

/** The results of trials. */
export interface ProbedFacts {
  readonly capabilities: Capabilities
  readonly refusals: readonly Refusal[]
  /** The extensions of the configuration that could not be created. */
  readonly refusedExtensions: readonly { readonly name: string; readonly message: string }[]
  /** True if the server accepted a wrong password; undefined if that was not tried. */
  readonly isWrongPasswordAccepted: boolean | undefined
}
