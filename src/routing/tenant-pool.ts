import type { TenantRow } from '../catalog/tenant.ts'
import type { ConnectionPool, Login, PooledConnection } from '../server/port.ts'
import { Borrowing, type Gate, type Lender, type WhichCredential } from './borrowing.ts'
import type { FleetShare } from './fleet-share.ts'
import type { Lease } from './lease.ts'
import { here } from './long-leases.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'
import type { WorkScope } from './tenant-context.ts'

/** What a tenant's connections log in as. @throws `credentials-unreadable` */
export type LoginOf = (row: TenantRow, which: WhichCredential) => Login | undefined

/** What a tenant's pool works by. */
export interface TenantPoolOptions {
  readonly gate: Gate
  readonly loginOf: LoginOf
  /** The work that asks for a connection. */
  readonly scope: () => WorkScope | undefined
  /** What counts the connections that are lent inside of a fleet query. */
  readonly fleetShare?: FleetShare | undefined
}

/**
 * A tenant's view on its server's budget, in the shape of a `pg` pool. It has no connections of its own, and what it
 * lends goes to this tenant's database only, while the tenant is in service. Ending it does nothing.
 */
export class TenantPool implements ConnectionPool {
  readonly options: object = {}
  readonly #work: TenantPoolOptions
  readonly #lender: Lender
  /** As the tenant was when a connection was last asked for. */
  #last: { readonly row: TenantRow; readonly target: Target } | undefined

  constructor(budget: ServerBudget, work: TenantPoolOptions) {
    this.#work = work
    this.#lender = { budget, gate: work.gate, target: (row, which) => this.#target(row, which) }
  }

  connect(): Promise<PooledConnection> {
    const scope = this.#work.scope()
    const where = placesOf(scope)
    const share = this.#work.fleetShare
    return share?.isInside ? this.#borrowWithin(share, where, scope) : this.#borrow(where, scope)
  }

  async query(query: unknown, values?: unknown): Promise<unknown> {
    const lease = await this.connect()
    try {
      return await lease.query(query, values)
    } finally {
      lease.release()
    }
  }

  /** What is under way on a tenant may be cancelled also while it is taken out of service. */
  async control(sql: string): Promise<void> {
    if (this.#last !== undefined) await this.#lender.budget.control(this.#last.target, sql)
  }

  async end(): Promise<void> {}

  #borrow(where: readonly Error[], scope: WorkScope | undefined, afterwards?: () => void): Promise<Lease> {
    const lease = Promise.withResolvers<Lease>()
    new Borrowing(this.#lender, where, scope, lease, afterwards).seek()
    return lease.promise
  }

  async #borrowWithin(share: FleetShare, where: readonly Error[], scope: WorkScope | undefined): Promise<Lease> {
    const leave = await share.enter()
    try {
      const lease = await this.#borrow(where, scope, leave)
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

/** Where connections are asked for, where that is not noted. */
const nowhere: readonly Error[] = []

/** Where a connection is asked for, where the work notes it. Before anything is awaited the stack still leads there. */
function placesOf(scope: WorkScope | undefined): readonly Error[] {
  return scope?.begun === undefined ? nowhere : [here(), scope.begun]
}
