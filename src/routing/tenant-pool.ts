import { TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { ConnectionPool, Login, PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { FleetShare } from './fleet-share.ts'
import { here } from './long-leases.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'

/**
 * Gives the leave to work on the pool's tenant, at once where nobody has to be asked; rejects with why not.
 *
 * @param outdated what turned out not to be so any more: the catalog is to be asked, unless it was since
 */
export type Gate = (outdated?: Admission) => Admission | Promise<Admission>

/** What a tenant's connections log in as. @throws `credentials-unreadable` */
export type LoginOf = (row: TenantRow, which: 'current' | 'pending') => Login | undefined

/** What a tenant's pool works by. */
export interface TenantPoolOptions {
  readonly gate: Gate
  readonly loginOf: LoginOf
  /** Where the running work began; undefined where it is not to be noted where connections are asked for. */
  readonly begun: () => Error | undefined
  /** What counts the connections that are lent inside of a fleet query. */
  readonly fleetShare?: FleetShare | undefined
}

/**
 * A tenant's view on its server's budget, in the shape of a `pg` pool. It has no connections of its own, and what it
 * lends goes to this tenant's database only, while the tenant is in service. Ending it does nothing.
 */
export class TenantPool implements ConnectionPool {
  readonly options: object = {}
  readonly #budget: ServerBudget
  readonly #work: TenantPoolOptions
  /** As the tenant was when a connection was last asked for. */
  #last: { readonly row: TenantRow; readonly target: Target } | undefined

  constructor(budget: ServerBudget, work: TenantPoolOptions) {
    this.#budget = budget
    this.#work = work
  }

  connect(): Promise<PooledConnection> {
    const where = this.#where()
    return new Promise((lend, refuse) => this.#borrow({ where, lend, refuse }))
  }

  async query(query: unknown, values?: unknown): Promise<unknown> {
    const lease = await this.connect()
    try {
      return await lease.query(query, values)
    } finally {
      lease.release()
    }
  }

  /** Where a connection is asked for. Before anything is awaited the stack still leads there. */
  #where(): readonly Error[] {
    const begun = this.#work.begun()
    return begun === undefined ? nowhere : [here(), begun]
  }

  #borrow(borrowing: Borrowing): void {
    const share = this.#work.fleetShare
    if (share?.isInside) void this.#borrowWithin(share, borrowing)
    else this.#seek(borrowing)
  }

  async #borrowWithin(share: FleetShare, { where, lend, refuse }: Borrowing): Promise<void> {
    let leave: () => void
    try {
      leave = await share.enter()
    } catch (error) {
      return refuse(error)
    }
    this.#seek({
      where,
      afterwards: leave,
      lend: (lease) => {
        share.watch(lease.origin, leave)
        lend(lease)
      },
      refuse: (error) => {
        leave()
        refuse(error)
      },
    })
  }

  #seek(borrowing: Borrowing): void {
    const asked = this.#work.gate(borrowing.outdated)
    if (asked instanceof Promise) asked.then((admission) => this.#seekAs(admission, borrowing), borrowing.refuse)
    else this.#seekAs(asked, borrowing)
  }

  #seekAs(admission: Admission, borrowing: Borrowing, which: 'current' | 'pending' = 'current'): void {
    const target = which === 'current' ? this.#target(admission.row) : this.#targetWith(admission.row, which)
    const grant = (connection: ServerConnection) => this.#lend({ target, connection, admission }, borrowing)
    const refuse = (error: unknown) => this.#otherwise(error, admission, borrowing, which)
    this.#budget.ask({ target, where: borrowing.where, grant, refuse })
  }

  #lend(granted: Pick<Loan, 'target' | 'connection' | 'admission'>, borrowing: Borrowing): void {
    const { target, connection, admission } = granted
    if (admission.isValid())
      return borrowing.lend(new Lease({ ...granted, budget: this.#budget, afterwards: borrowing.afterwards }))
    // The tenant was taken out of service while the connection was waited for: it is not kept.
    void Promise.resolve(this.#budget.release(target, connection, true)).then(() => this.#seek(borrowing))
  }

  /**
   * What to do where there was no connection: to ask anew when the tenant was taken out of service meanwhile, or its role
   * not let in with what was known of it, since the password was changed, or the role locked out, a moment ago.
   */
  #otherwise(error: unknown, admission: Admission, borrowing: Borrowing, which: 'current' | 'pending'): void {
    const { credential } = admission.row
    const isLocked = isCode(error, 'authentication-failed') && credential !== undefined
    // Who has waited for long enough does not wait anew.
    if (isCode(error, 'closed') || isCode(error, 'pool-timeout')) borrowing.refuse(error)
    // Once only, whatever was heard meanwhile: everybody who is not let in makes what others were admitted by outdated.
    else if (isLocked && borrowing.outdated === undefined) this.#seek({ ...borrowing, outdated: admission })
    else if (isLocked && which === 'pending') borrowing.refuse(error)
    // A password that is being set may be in force before the catalog knows.
    else if (isLocked && credential.pending !== undefined) this.#seekAs(admission, borrowing, 'pending')
    else if (isLocked) borrowing.refuse(lockedOutError(admission.row, error))
    else if (admission.isValid()) borrowing.refuse(error)
    else this.#seek(borrowing)
  }

  #target(row: TenantRow): Target {
    if (this.#last?.row !== row) this.#last = { row, target: this.#targetWith(row, 'current') }
    return this.#last.target
  }

  #targetWith(row: TenantRow, which: 'current' | 'pending'): Target {
    return { tenant: row.id, database: row.database, rowId: row.rowId, login: () => this.#work.loginOf(row, which) }
  }

  /** What is under way on a tenant may be cancelled also while it is taken out of service. */
  async control(sql: string): Promise<void> {
    if (this.#last !== undefined) await this.#budget.control(this.#last.target, sql)
  }

  async end(): Promise<void> {}
}

/** Where connections are asked for, where that is not noted. */
const nowhere: readonly Error[] = []

function isCode(error: unknown, code: TenantryError['code']): error is TenantryError {
  return error instanceof TenantryError && error.code === code
}

function lockedOutError({ id }: TenantRow, { message, cause, sqlState }: TenantryError): TenantryError {
  return new TenantryError('authentication-failed', message, {
    cause,
    sqlState,
    tenant: id,
    hint: `Somebody changed or dropped the role of the tenant ${id}. rotateCredentials() sets it right.`,
  })
}

/** Somebody's call for a connection. */
interface Borrowing {
  /** Errors made where it is asked for, and where the work began that asks, for their stacks. */
  readonly where: readonly Error[]
  /** Called when the lease has been given back. */
  readonly afterwards?: (() => void) | undefined
  /** With what the tenant's role was not let in; the second time is the last. */
  readonly outdated?: Admission
  readonly lend: (lease: Lease) => void
  readonly refuse: (error: unknown) => void
}

/** What is lent, and what is to be done when it is given back. */
interface Loan {
  readonly budget: ServerBudget
  readonly target: Target
  readonly connection: ServerConnection
  readonly admission: Admission
  readonly afterwards: (() => void) | undefined
}

/** A connection borrowed for one piece of work. Whoever keeps it after giving it back can do nothing with it. */
class Lease implements PooledConnection {
  readonly #loan: Loan
  #released = false

  constructor(loan: Loan) {
    this.#loan = loan
  }

  get origin(): ServerConnection {
    return this.#loan.connection
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
    const { budget, target, connection, admission, afterwards } = this.#loan
    // What was lent before an eviction is not kept after it: somebody waits for the database to be left.
    const givenBack = budget.release(target, connection, destroy !== false || !admission.isValid())
    if (afterwards === undefined) return
    if (givenBack === undefined) afterwards()
    else void givenBack.then(afterwards)
  }
}
