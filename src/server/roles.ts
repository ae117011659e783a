import type { Identifier } from '../kernel/names.ts'
import type { Session } from './session.ts'

/** Roles that cannot log in, and that all databases of an installation on a server have in common. */
export interface GroupRoles {
  /** Owns the databases, but no objects in them: code of one database that runs as it could change all others. */
  readonly owner: Identifier
  /** Owns the objects in the databases, but no database. */
  readonly objects: Identifier
  /** Its members may read and write the objects in the databases. */
  readonly app: Identifier
}

/** The roles of a server. */
export interface Roles {
  /** Makes missing groups, and joins the session's role to the owning ones. @throws `permission-denied` with the SQL */
  ensureGroups(session: Session, groups: GroupRoles): Promise<void>
  /** Returns the roles whose names begin with a prefix, and true for each that can log in. */
  find(session: Session, prefix: string): Promise<ReadonlyMap<Identifier, { readonly canLogIn: boolean }>>
  /**
   * Drops a role, if it exists, with its objects and privileges in any database; not in a transaction.
   *
   * @returns false if it stays, because it may connect to a database that was not named
   * @throws `query-failed` with the statements, if other roles renew their grants faster than they are revoked
   */
  drop(session: Session, user: Identifier, options: DropRoleOptions): Promise<boolean>
  /** True if a role owns an object in a database. */
  ownsAnything(session: Session, database: Identifier, user: Identifier): Promise<boolean>
  /** Transfers a role's objects in a database to another role. */
  reassignOwned(database: Identifier, from: Identifier, to: Identifier): Promise<void>
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
