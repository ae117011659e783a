import type { Identifier } from '../kernel/names.ts'

/**
 * The mark of a session's installation and process, a part of its application's name. Every role that may see the
 * server's sessions can read it.
 */
export interface SessionMark {
  /** The installation: four letters or digits. */
  readonly family: string
  /** One process of it: four letters or digits. */
  readonly member: string
}

/** The sessions of a server that count. Every role may give its sessions any name, so the mark alone proves nothing. */
export interface OccupancyQuestion {
  /** The installation in the mark: {@link SessionMark.family}. */
  readonly family: string
  /** The prefix of the names of tenants' roles. */
  readonly tenantRoles: string
  /** The group that tenants' roles are members of. */
  readonly tenantGroup: Identifier
  /**
   * True if the question is asked in a database that only the installation's processes may connect to. Then every role
   * that may connect there counts as the installation's own; otherwise only the session's own role, besides tenants'
   * roles.
   */
  readonly isAmongProcesses: boolean
}

/** The sessions that one role has opened in the name of one process. */
export interface MarkedSessions {
  /** {@link SessionMark.member}. */
  readonly process: string
  /** The tenant's role; undefined for a role that processes connect as. */
  readonly tenantRole: string | undefined
  readonly count: number
}

/** The number of sessions that a server has room for, and the sessions of an installation. */
export interface Occupancy {
  /** The number of sessions that roles without special privileges may have at once. */
  readonly room: number
  readonly sessions: readonly MarkedSessions[]
}
