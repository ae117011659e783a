import type { Identifier } from '../kernel/names.ts'
import type { GroupRoles } from './roles.ts'
import type { Login } from './session.ts'
import type { WrongPrivileges } from './wrong-privileges.ts'

/** A login, and the number of connections that its role may have at once. */
export interface LimitedLogin extends Login {
  readonly connectionLimit: number
}

/** A change of a database, of its content or of a role; see {@link Server.apply}. */
export type Change = DatabaseChange | ContentChange | LoginChange

/** A change of a database as such. */
export type DatabaseChange =
  | { readonly change: 'rename'; readonly database: Identifier; readonly to: Identifier }
  /** Sets the comment on a database. */
  | { readonly change: 'stamp'; readonly database: Identifier; readonly comment: string }
  /** `seal` closes a database, lets every role with CREATEDB copy it, and no role drop it until it is unsealed. */
  | { readonly change: 'open' | 'close' | 'seal' | 'unseal'; readonly database: Identifier }
  /**
   * Lets only the members of a database's owner connect to it, and roles with a grant of their own.
   *
   * @throws `permission-denied` if every role still may
   */
  | { readonly change: 'make-private'; readonly database: Identifier; readonly groups: GroupRoles | undefined }

/** A change of what is in the session's own database. */
export type ContentChange =
  /** Lets `objects` create in an empty database, and `app` use the objects. */
  | { readonly change: 'prepare'; readonly groups: GroupRoles }
  /** Transfers a database of another origin, and the session role's objects in it, to the groups. */
  | { readonly change: 'take-over'; readonly database: Identifier; readonly groups: GroupRoles }
  /** Lets `app` only read a table, if that exists, and its sequences. */
  | { readonly change: 'make-read-only'; readonly schema: string; readonly table: string; readonly groups: GroupRoles }
  /** Gives objects the owner and the grants that let a tenant use them. */
  | { readonly change: 'repair-privileges'; readonly objects: readonly WrongPrivileges[] }
  /** Creates an extension if it is missing. */
  | { readonly change: 'add-extension'; readonly name: Identifier }

/** A change of a role that can log in. */
export type LoginChange =
  /**
   * Makes a role, a member of `app`, or gives an existing one this password; and allows it to log in and to connect to
   * a database, or neither. All settings of an existing role are reset, also those for single databases.
   */
  | {
      readonly change: 'set-login'
      readonly login: LimitedLogin
      readonly groups: GroupRoles
      readonly database: Identifier
      readonly mode: 'enabled' | 'disabled'
    }
  /**
   * Makes a temporary role with the privileges of `objects`, in one database. Unlike a role that merely acts as
   * `objects`, code in its session can become no other role.
   */
  | {
      readonly change: 'add-temporary-login'
      readonly login: Login
      readonly groups: GroupRoles
      readonly database: Identifier
    }
  /** Also allows a role to connect to a database. Neither this nor its reverse fails if the role does not exist. */
  | { readonly change: 'enable-login'; readonly user: Identifier; readonly database: Identifier }
  /** Also revokes a role's privilege to connect to a database, if given. */
  | { readonly change: 'disable-login'; readonly user: Identifier; readonly database?: Identifier | undefined }
  /** Revokes a role's privilege to connect to a database, without a lock on the role. */
  | { readonly change: 'revoke-connect'; readonly user: Identifier; readonly database: Identifier }
  /** Resets all settings of a role (ALTER ROLE ... SET); it writes only if there are any. */
  | { readonly change: 'reset-login'; readonly user: Identifier }
  | { readonly change: 'rename-login'; readonly user: Identifier; readonly to: Identifier }
