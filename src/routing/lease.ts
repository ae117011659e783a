import { TenantryError } from '../kernel/errors.ts'
import type { PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'

/** The holder of a lease, and the budget that the connection is released to. */
export interface LeaseHolder {
  readonly budget: ServerBudget
  readonly target: Target
  /** The admission under which it was leased. */
  readonly admission: Admission
  /** Called when the connection has been released. */
  readonly afterwards: (() => void) | undefined
}

/** A connection leased for one piece of work. It is unusable after its release. */
export class Lease implements PooledConnection {
  readonly origin: ServerConnection
  readonly #holder: LeaseHolder
  #released = false

  constructor(connection: ServerConnection, holder: LeaseHolder) {
    this.origin = connection
    this.#holder = holder
  }

  get processID(): number | undefined {
    return this.origin.processID
  }

  query(query: unknown, values?: unknown): unknown {
    if (this.#released) throw new TenantryError('closed', 'This connection was given back already.')
    return this.origin.query(query, values)
  }

  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    return this.origin.getTypeParser(oid, format)
  }

  setTypeParser(oid: number, parse: (text: string) => unknown): void {
    this.origin.setTypeParser(oid, parse)
  }

  /** Never fails: a connection on which something goes wrong is closed. */
  release(destroy: boolean | Error = false): void {
    if (this.#released) return
    this.#released = true
    const { budget, target, admission, afterwards } = this.#holder
    // A connection that was leased before an eviction is closed after it: the eviction waits until nothing is connected
    // to the database.
    const givenBack = budget.release(target, this.origin, destroy !== false || !admission.isValid())
    if (afterwards === undefined) return
    if (givenBack === undefined) afterwards()
    else void givenBack.then(afterwards)
  }
}
