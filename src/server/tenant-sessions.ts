import type { Cancellable } from '../kernel/abort.ts'
import type { Identifier } from '../kernel/names.ts'
import type { ScriptOptions, Session } from './session.ts'

/**
 * All sessions, those of tenants' roles, or those that may be work. `workOf` names a role whose sessions always count, with
 * any application name and in any database; `of` names the role whose sessions alone count, in any database.
 */
export type WhichSessions = 'all' | 'tenants' | 'work' | { readonly workOf: Identifier } | { readonly of: Identifier }

/** The logins under way of a role, to any database; or those of tenants' roles to a database. */
export type LoginsUnderWay = { readonly user: Identifier } | { readonly database: Identifier }

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

/** The tenants whose roles must not keep administration waiting. */
export interface TenantSessions {
  /** The prefix of the names of their roles. */
  readonly rolePrefix: string
  /** The group that all of them are members of. */
  readonly group: Identifier
  /**
   * A database that none of them can connect to, from which to look for what blocks administration. It need not exist
   * yet: then others are used, where a tenant can hinder the look.
   */
  readonly closedDatabase: Identifier
  readonly onEnded: (ended: EndedBlocker) => void
}

/** A session, or a prepared transaction, that holds a lock on a table. */
export interface LockHolder {
  /** Undefined for a prepared transaction. */
  readonly processId: number | undefined
  readonly user: string | undefined
  /** Its activity, such as `idle in transaction`; undefined if the session's role may not see that. */
  readonly state: string | undefined
  /** The age of its transaction, in milliseconds; undefined if the session's role may not see that. */
  readonly heldMs: number | undefined
  /** The beginning of its last statement; undefined if the session's role may not see that. */
  readonly query: string | undefined
}

/** Options of ending sessions. */
export interface EndingOptions extends Cancellable {
  /** The time that they have to end by themselves, in milliseconds. */
  readonly quietMs: number
}

/** The sessions of a server, and how to end them. */
export interface Sessions {
  /**
   * Returns the server's process ids of the sessions in a database, besides this one: all, or those that may be a
   * service's work (no backup by pg_dump, and no superuser's unless the session is one itself).
   *
   * @param how `busy` leaves out idle ones, if the session's role may see that
   */
  list(session: Session, database: Identifier, which: WhichSessions, how?: 'busy' | 'any'): Promise<readonly number[]>
  /** Returns at most five other holders of locks on tables of the session's database, the oldest transaction first. */
  lockHolders(session: Session, tables: readonly string[]): Promise<readonly LockHolder[]>
  /**
   * Returns the temporary objects of other sessions, at most five, that depend on lasting ones of the session's database:
   * these cannot be dropped or changed as long as they exist.
   */
  temporaryDependents(session: Session): Promise<readonly string[]>
  /**
   * Locks tables until the end of the session's transaction, and ends the tenants' sessions that {@link temporaryDependents}
   * belong to.
   *
   * @param beside another session on the same database
   * @param options the role that locks the tables, and the longest wait for each
   * @returns false if some remain after some seconds
   */
  endTemporaryDependents(
    session: Session,
    beside: Session,
    tables: readonly string[],
    options: ScriptOptions,
  ): Promise<boolean>
  /** Ends sessions by their process ids, without waiting until they are gone. @throws `permission-denied` */
  end(session: Session, processIds: readonly number[]): Promise<void>
  /** Returns the server's time, as text for {@link endBefore}. */
  clock(session: Session): Promise<string>
  /** Ends a role's sessions that began before a moment of {@link clock}. @returns false if some remain after some seconds */
  endBefore(session: Session, user: Identifier, moment: string, options: EndingOptions): Promise<boolean>
  /**
   * Ends the logins under way of a role, or to a database. PostgreSQL checks a role, and its access to the database, before
   * it shows the session: a client can delay that, and have a session although either was taken away since.
   *
   * @returns false if one is still under way
   */
  endLogins(session: Session, whose: LoginsUnderWay): Promise<boolean>
  /**
   * Rolls back the prepared transactions of tenants' roles in a database, and those of `user` in any: they outlive every
   * session, and keep a database from being renamed and dropped.
   */
  rollBackPrepared(session: Session, database: Identifier, user?: Identifier): Promise<void>
}
