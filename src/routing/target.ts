import type { Identifier, TenantId } from '../kernel/names.ts'
import type { Login, ServerConnection } from '../server/port.ts'
import type { WorkScope } from './tenant-context.ts'

/** The tenant and database of a wanted connection. */
export interface Target {
  readonly tenant: TenantId
  readonly database: Identifier
  /** The id of the tenant's row: a later tenant that has the same database gets connections of its own. */
  readonly rowId: string
  /** Returns the login, when a connection is opened; undefined for the role that administers. */
  readonly login: () => Login | undefined
}

/** A request for a connection. */
export interface ConnectionRequest {
  readonly target: Target
  /** Errors made for their stacks, where the request was made and where its work began. */
  readonly where: readonly Error[]
  /** The work that the request is part of; undefined if that is unknown, or over already. */
  readonly scope?: WorkScope | undefined
  /** The time of the first attempt, by the monotonic clock. */
  readonly since: number
  /**
   * Called once with the leased connection, possibly within the release of another; or else {@link refuse} is called.
   */
  grant(connection: ServerConnection): void
  refuse(error: unknown): void
  /** Releases the connection in place of its holder, for which it is unusable from then on. It is closed. */
  takeBack?(): void
}

/** A lease of a connection. */
export interface LeasedConnection {
  readonly connection: ServerConnection
  readonly request: ConnectionRequest
  /** The time of the lease's begin, by the monotonic clock. */
  readonly since: number
}

/** True if a connection for one fits the other. */
export function isSame(one: Target, other: Target): boolean {
  return one.rowId === other.rowId && one.database === other.database
}
