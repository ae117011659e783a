import { TenantryError } from '../kernel/errors.ts'
import type { PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'

/** For whom a connection was lent, and whom it goes back to. */
export interface Borrower {
  readonly budget: ServerBudget
  readonly target: Target
  /** What it was lent by. */
  readonly admission: Admission
  /** Called when the connection has been given back. */
  readonly afterwards: (() => void) | undefined
}

/** A connection borrowed for one piece of work. Whoever keeps it after giving it back can do nothing with it. */
export class Lease implements PooledConnection {
  readonly origin: ServerConnection
  readonly #borrower: Borrower
  #released = false

  constructor(connection: ServerConnection, borrower: Borrower) {
    this.origin = connection
    this.#borrower = borrower
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

  /** Never fails: what goes wrong with a connection then ends it. */
  release(destroy: boolean | Error = false): void {
    if (this.#released) return
    this.#released = true
    const { budget, target, admission, afterwards } = this.#borrower
    // What was lent before an eviction is not kept after it: somebody waits for the database to be left.
    const givenBack = budget.release(target, this.origin, destroy !== false || !admission.isValid())
    if (afterwards === undefined) return
    if (givenBack === undefined) afterwards()
    else void givenBack.then(afterwards)
  }
}
