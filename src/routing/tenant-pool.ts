import { queryOnce } from '../server/connection-pool.ts'
import type { Cancelled, ConnectionPool, PooledConnection } from '../server/port.ts'
import type { FleetShare } from './fleet-share.ts'
import { Lease, type LeaseSource } from './lease.ts'
import { here } from './long-leases.ts'
import type { ServerBudget } from './server-budget.ts'
import type { WorkScope } from './tenant-context.ts'

/** Options of a tenant's pool. */
export interface TenantPoolOptions extends Pick<LeaseSource, 'gate' | 'loginOf'> {
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
  readonly #budget: ServerBudget
  readonly #work: TenantPoolOptions
  readonly #source: LeaseSource

  constructor(budget: ServerBudget, work: TenantPoolOptions) {
    this.#budget = budget
    this.#work = work
    this.#source = { budget, gate: work.gate, loginOf: work.loginOf, row: undefined }
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
    const { row, loginOf } = this.#source
    if (row !== undefined) await this.#budget.cancel(row.database, processID, what, loginOf(row, 'current'))
  }

  async end(): Promise<void> {}

  #acquire(where: readonly Error[], scope: WorkScope | undefined, afterwards?: () => void): Promise<Lease> {
    return new Lease(this.#source, where, scope, afterwards).acquire()
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
}

/** The places of requests if they are not recorded. */
const nowhere: readonly Error[] = []

/** Returns the places of a request, if the work records them. The stack is complete only before the first await. */
function placesOf(scope: WorkScope | undefined): readonly Error[] {
  return scope?.begun === undefined ? nowhere : [here(), scope.begun]
}
