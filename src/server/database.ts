import type { Identifier } from '../kernel/names.ts'

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
  readonly localeProvider?: 'libc' | 'icu' | 'builtin' | undefined
  readonly tablespace?: string | undefined
  /** How many sessions may be open at once in the database; -1, the default, for no limit. */
  readonly connectionLimit?: number | undefined
  /** Whether anybody may connect to it, once it is there. Default true. */
  readonly acceptsConnections?: boolean | undefined
}

/** What may be changed of a database as such; what is left out stays. */
export interface DatabaseChange {
  readonly acceptsConnections?: boolean
  readonly isTemplate?: boolean
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
  /** The server's own number of it, which a renaming leaves as it is and which is not soon used again. */
  readonly oid: number
  readonly owner: string
  /** Whether the session's role has the owner's privileges: it may rename it, comment on it and drop it. */
  readonly mayAlter: boolean
  readonly encoding: string
  readonly locale: string
  readonly localeProvider: 'libc' | 'icu' | 'builtin'
  readonly tablespace: string
  readonly connectionLimit: number
  readonly acceptsConnections: boolean
  /** Whether every role with CREATEDB may copy it, and nobody may drop it. */
  readonly isTemplate: boolean
  /** Whether every role of the server may connect to it, as PostgreSQL has it of itself. */
  readonly isPublic: boolean
  /** Its texts were sorted by another version of the operating system's rules: PostgreSQL does not copy it any more. */
  readonly hasOldCollation: boolean
  /** An interrupted DROP DATABASE left it so that it can only be dropped. */
  readonly invalid: boolean
  /** The comment on the database, ours (a stamp) or anybody's. */
  readonly comment: string | undefined
}

/** Which databases are meant: those that fit one or the other. */
export interface DatabaseSearch {
  /** What their names begin with. */
  readonly prefix: string
  /** A text in the comment on them. */
  readonly comment: string
}
