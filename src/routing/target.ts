import type { Identifier, TenantId } from '../kernel/names.ts'
import type { Login, ServerConnection } from '../server/port.ts'
import type { WorkScope } from './tenant-context.ts'

/** Whose connection is wanted. */
export interface Target {
  readonly tenant: TenantId
  readonly database: Identifier
  /** The tenant's row: another tenant that has the same database one day has connections of its own. */
  readonly rowId: string
  /** What to log in as, asked when a connection is opened; undefined for the role that administers. */
  readonly login: () => Login | undefined
}

/** Somebody's call for a connection. */
export interface Asking {
  readonly target: Target
  /** Errors made where it is asked for, and where the work began that asks, for their stacks. */
  readonly where: readonly Error[]
  /** The work that it is asked for; undefined where that is not known, or over already. */
  readonly scope?: WorkScope | undefined
  /** When it was first asked for, by the monotonic clock. */
  readonly since: number
  /** Called once with the connection when it is lent, which may be within another's release; or else {@link refuse}. */
  grant(connection: ServerConnection): void
  refuse(error: unknown): void
  /** Gives the connection back in place of whoever has it, who can do nothing with it from then on. It is closed. */
  takeBack?(): void
}

/** What a connection is lent for. */
export interface Lent {
  readonly connection: ServerConnection
  readonly asking: Asking
  /** When it was lent, by the monotonic clock. */
  readonly since: number
}

/** Whether a connection for one is one for the other. */
export function isSame(one: Target, other: Target): boolean {
  return one.rowId === other.rowId && one.database === other.database
}
