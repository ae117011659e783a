import type { TenantRow } from '../catalog/tenant.ts'
import { queryOnce } from '../server/connection-pool.ts'
import type { Cancelled, ConnectionPool, Login, PooledConnection } from '../server/port.ts'
import { LeaseRequest, type Gate, type LeaseSource, type WhichCredential } from './lease-request.ts'
import type { FleetShare } from './fleet-share.ts'
import type { Lease } from './lease.ts'
import { here } from './long-leases.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'
import type { WorkScope } from './tenant-context.ts'

/** Returns the login of a tenant's connections. @throws `credentials-unreadable` */
export type LoginOf = (row: TenantRow, which: WhichCredential) => Login | undefined

/** Options of a tenant's pool. */
export interface TenantPoolOptions {
  readonly gate: Gate
  readonly loginOf: LoginOf
  /** The work that requests the connection. */
  readonly scope: () => WorkScope | undefined
  /** The share that counts the connections leased inside of a fleet query. */
  readonly fleetShare?: FleetShare | undefined
}

/**
 * A tenant's view on its server's budget, in the shape of a `pg` pool. It has no connections of its own, and leases
 * only connections to this tenant's database, while the tenant is in service. Ending it does nothing.
 */
export class TenantPool implements ConnectionPool {
  readonly options: object = {}
  readonly #work: TenantPoolOptions
  readonly #source: LeaseSource
  /** The tenant as of the last request for a connection. */
  #last: { readonly row: TenantRow; readonly target: Target } | undefined

  constructor(budget: ServerBudget, work: TenantPoolOptions) {
    this.#work = work
    this.#source = { budget, gate: work.gate, target: (row, which) => this.#target(row, which) }
  }

  connect(): Promise<PooledConnection> {
    const scope = this.#work.scope()
    const where = placesOf(scope)
    const share = this.#work.fleetShare
    return share?.isInside ? this.#acquireWithin(share, where, scope) : this.#acquire(where, scope)
  }

  query(query: unknown, values?: unknown): Promise<unknown> {
    return queryOnce(this.connect(), query, values)
  }

  /** Work on a tenant may be cancelled also while it is taken out of service. */
  async cancel(processID: number, what: Cancelled): Promise<void> {
    if (this.#last !== undefined) await this.#source.budget.cancel(this.#last.target, processID, what)
  }

  async end(): Promise<void> {}

  #acquire(where: readonly Error[], scope: WorkScope | undefined, afterwards?: () => void): Promise<Lease> {
    const lease = Promise.withResolvers<Lease>()
    new LeaseRequest(this.#source, where, scope, lease, afterwards).seek()
    return lease.promise
  }

  async #acquireWithin(share: FleetShare, where: readonly Error[], scope: WorkScope | undefined): Promise<Lease> {
    const leave = await share.enter()
    try {
      const lease = await this.#acquire(where, scope, leave)
      share.watch(lease.origin, leave)
      return lease
    } catch (error) {
      leave()
      throw error
    }
  }

  #target(row: TenantRow, which: WhichCredential): Target {
    if (which === 'pending') return this.#targetWith(row, which)
    if (this.#last?.row !== row) this.#last = { row, target: this.#targetWith(row, which) }
    return this.#last.target
  }

  #targetWith(row: TenantRow, which: WhichCredential): Target {
    return { tenant: row.id, database: row.database, rowId: row.rowId, login: () => this.#work.loginOf(row, which) }
  }
}

/** The places of requests if they are not recorded. */
const nowhere: readonly Error[] = []

/** Returns the places of a request, if the work records them. The stack is complete only before the first await. */
function placesOf(scope: WorkScope | undefined): readonly Error[] {
  return scope?.begun === undefined ? nowhere : [here(), scope.begun]
}
