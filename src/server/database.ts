import type { Identifier } from '../kernel/names.ts'
import type { Session } from './session.ts'

/** Options of CREATE DATABASE. Each but `template` has PostgreSQL's own default. */
export interface CreateDatabaseOptions {
  /** The role that will own the database; the connecting role by default. */
  readonly owner?: string | undefined
  /** The database to copy. Default `template0`: what somebody has created in `template1` is not in the new one. */
  readonly template?: string | undefined
  /** A PostgreSQL encoding, such as `UTF8`. */
  readonly encoding?: string | undefined
  /** The locale for sort order and character classes, in the provider's notation. */
  readonly locale?: string | undefined
  /** Default: `libc` where a locale is given, otherwise the server's. */
  readonly localeProvider?: 'libc' | 'icu' | 'builtin' | undefined
  readonly tablespace?: string | undefined
  /** The number of sessions that may be open at once in the database; -1, the default, for no limit. */
  readonly connectionLimit?: number | undefined
  /** Accepts connections once it exists. Default true. */
  readonly acceptsConnections?: boolean | undefined
}

/** A database of an installation, by its stamp. */
export interface StampedDatabase {
  readonly name: Identifier
  /** The comment on it. */
  readonly comment: string
}

/** A database as the server describes it. */
export interface DatabaseInfo {
  readonly name: Identifier
  /** The server's own number of it, which stays when it is renamed and is not soon used again. */
  readonly oid: number
  readonly owner: string
  /** True if the session's role has the owner's privileges: it may rename it, comment on it and drop it. */
  readonly mayAlter: boolean
  readonly encoding: string
  readonly locale: string
  readonly localeProvider: 'libc' | 'icu' | 'builtin'
  readonly tablespace: string
  readonly connectionLimit: number
  readonly acceptsConnections: boolean
  /** True if every role with CREATEDB may copy it, and no role may drop it. */
  readonly isTemplate: boolean
  /** True if every role of the server may connect to it, as PostgreSQL's default is. */
  readonly isPublic: boolean
  /**
   * True if its texts were sorted by another version of the operating system's rules: PostgreSQL does not copy it any
   * more.
   */
  readonly hasOldCollation: boolean
  /** True if an interrupted DROP DATABASE left it so that it can only be dropped. */
  readonly invalid: boolean
  /** The comment on the database: ours (a stamp), or any other. */
  readonly comment: string | undefined
}

/** A search for databases that meet one condition or the other. */
export interface DatabaseSearch {
  /** The beginning of their names. */
  readonly prefix: string
  /** A part of the comment on them. */
  readonly comment: string
}

/** The databases of a server. */
export interface Databases {
  /** Creates a database. @returns false if one of that name exists, even if it was created at the same moment */
  create(session: Session, database: Identifier, options: CreateDatabaseOptions): Promise<boolean>
  /** Drops a database, if it exists, and ends the sessions in it; not in a transaction. @throws `permission-denied` */
  drop(session: Session, database: Identifier): Promise<void>
  /** Describes the existing ones among some databases, in one query. */
  describe(session: Session, databases: readonly Identifier[]): Promise<readonly DatabaseInfo[]>
  /** Describes all databases that match, in the order of their names, in one query. */
  find(session: Session, search: DatabaseSearch): Promise<readonly DatabaseInfo[]>
  /** Returns all databases whose comment contains a text, in one query. */
  commented(session: Session, text: string): Promise<readonly StampedDatabase[]>
  /**
   * Returns the statements that grant the session's role the privileges to create and rename databases; none if it has
   * them.
   */
  missingToCreate(session: Session): Promise<readonly string[]>
  /** Returns the schemas in which every role of the server may create, if every role may connect to the database. */
  schemasOpenToPublic(session: Session): Promise<readonly string[]>
}
