import type { Identifier } from '../kernel/names.ts'
import type { Script } from '../structure/script.ts'
import type { Structure } from '../structure/structure-object.ts'
import type { Observation, RelationName } from './observation.ts'
import type { GroupRoles } from './roles.ts'
import type { Session } from './session.ts'
import type { WrongPrivileges } from './wrong-privileges.ts'

/** A database's structure, and what is needed to compare it. */
export interface ReadStructure {
  readonly structure: Structure
  /** The server's major version. Structures of different versions are not compared: they may word the same otherwise. */
  readonly majorVersion: number
  /** The text that {@link StructureAccess.remember} stored in the database. */
  readonly memory: string | undefined
  /** The objects that {@link ReadOptions.usedBy} cannot use. */
  readonly wrongPrivileges: readonly WrongPrivileges[]
}

/** A structure that was built to be compared with. */
export interface BuiltStructure {
  readonly structure: Structure
  /** False if definitions leave out the default schema: then those that they are compared with must as well. */
  readonly isQualified: boolean
}

/** Groups that use a database as they can use those that Tenantry makes. */
export interface GroupsInUse {
  readonly groups: GroupRoles
  /** The tables that `app` must be able to read and write, as `schema.name`. */
  readonly tables: readonly string[]
  /** The schema that the names of objects leave out. */
  readonly defaultSchema: string
}

/** Options of reading a structure. */
export interface ReadOptions {
  /** `transaction` if the session has one open, whose settings stay as they are. Default `alone`. */
  readonly where?: 'alone' | 'transaction'
  /** The groups whose privileges are looked at, in the same round trip. */
  readonly usedBy?: GroupsInUse | undefined
  /** True for owners and grants as well, which a digest counts and a comparison does not. Default false. */
  readonly privileges?: boolean
}

/** A session, as far as a structure is read on it. */
export interface ReadingSession {
  readonly database: string
  query(
    sql: string,
    params?: readonly unknown[],
  ): Promise<{ readonly command: string; readonly rows: readonly object[] }>
}

/** The surroundings of an observed statement. */
export interface ObserveOptions {
  /** The schema of unqualified names. */
  readonly schema: string
  /** The role that it is run as. Default: that of the session. */
  readonly role?: Identifier | undefined
}

/** Reads and builds structures. */
export interface StructureAccess {
  /**
   * Reads the structure of the session's database in one round trip, whatever the session's settings are. It takes no
   * privilege but to connect.
   */
  read(session: ReadingSession, options?: ReadOptions): Promise<ReadStructure>
  /**
   * Reads what each statement of a script is about.
   *
   * @param defaultSchema the schema of the names that have none
   * @throws `models-invalid` for what is no SQL
   */
  parse(statements: readonly string[], defaultSchema: string): Promise<Script>
  /**
   * Builds a script in the session's database out of everybody's sight, reads its structure, and takes all of it back. It
   * takes the right to create schemas there; where only the default schema is needed, that to create temporary tables.
   *
   * @returns undefined where that changes something that exists, so that it cannot be built here
   * @throws `permission-denied`, and whatever a statement of the script fails with
   */
  build(session: ReadingSession, script: Script, defaultSchema: string): Promise<BuiltStructure | undefined>
  /** Runs a statement in a transaction of its own, and reports its effects. For scratch databases. */
  observe(session: Session, statement: string, options: ObserveOptions): Promise<Observation>
  /** Returns the size in bytes of the largest of some tables, without their indexes; 0 if none exists. */
  largestTable(session: ReadingSession, tables: readonly RelationName[]): Promise<number>
  /**
   * Stores a text in the session's database, for {@link ReadStructure.memory} to find, within the open transaction. A role
   * that may not goes on without.
   */
  remember(session: Session, text: string): Promise<void>
}
