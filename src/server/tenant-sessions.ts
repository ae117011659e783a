import type { Cancellable } from '../kernel/abort.ts'
import type { Identifier } from '../kernel/names.ts'

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

/** Options of ending sessions. */
export interface EndingOptions extends Cancellable {
  /** The time that they have to end by themselves, in milliseconds. */
  readonly quietMs: number
}
