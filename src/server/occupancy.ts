import type { Identifier } from '../kernel/names.ts'

/** What tells whose a session is, to everybody who may see the server's sessions: part of its application's name. */
export interface SessionMark {
  /** The installation: four letters or digits. */
  readonly family: string
  /** One process of it: four letters or digits. */
  readonly member: string
}

/** Which sessions of a server count. Everybody may give a session any name, so the mark alone proves nothing. */
export interface OccupancyQuestion {
  /** What the mark has to say: {@link SessionMark.family}. */
  readonly family: string
  /** What the names of tenants' roles begin with. */
  readonly tenantRoles: string
  /** The group that tenants' roles are members of. */
  readonly tenantGroup: Identifier
  /**
   * True if the question is asked in a database that nobody but the installation's processes may connect to. Then every role
   * that may connect there counts as the installation's own; otherwise only the role that asks, beside tenants' roles.
   */
  readonly isAmongProcesses: boolean
}

/** Sessions that one role has opened in the name of one process. */
export interface MarkedSessions {
  /** {@link SessionMark.member}. */
  readonly process: string
  /** The tenant's role; undefined for a role that processes connect as. */
  readonly tenantRole: string | undefined
  readonly count: number
}

/** How many sessions a server has room for, and has of one installation's. */
export interface Occupancy {
  /** How many sessions roles without special privileges may have at once. */
  readonly room: number
  readonly sessions: readonly MarkedSessions[]
}
