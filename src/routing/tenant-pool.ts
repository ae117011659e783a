import { TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { ConnectionPool, Login, PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { FleetShare } from './fleet-share.ts'
import { here } from './long-leases.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'

/**
 * Gives the leave to work on the pool's tenant, at once where nobody has to be asked, or throws why not.
 *
 * @param isAnew whether the catalog is to be asked, since what was known of the tenant turned out to be outdated
 */
export type Gate = (isAnew?: boolean) => Admission | Promise<Admission>

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

  async connect(): Promise<PooledConnection> {
    // Before anything is awaited: then the stack still leads to who asks.
    const begun = this.#work.begun()
    const where = begun === undefined ? [] : [here(), begun]
    const share = this.#work.fleetShare
    if (!share?.isInside) return this.#lend(where)
    const leave = await share.enter()
    try {
      const lease = await this.#lend(where, leave)
      share.watch(lease.origin, leave)
      return lease
    } catch (error) {
      leave()
      throw error
    }
  }

  /** @param afterwards is called when the lease has been given back */
  async #lend(where: readonly Error[], afterwards?: () => void): Promise<Lease> {
    const budget = this.#budget
    for (let isAnew = false; ;) {
      const asked = this.#work.gate(isAnew)
      const admission = asked instanceof Promise ? await asked : asked
      const target = this.#target(admission.row)
      let connection: ServerConnection
      try {
        connection = await budget.acquire(target, where)
      } catch (error) {
        const other = await this.#otherwise(error, admission, isAnew, where)
        if (other === 'outdated') isAnew = true
        if (typeof other === 'string') continue
        connection = other
      }
      if (admission.isValid()) return new Lease({ budget, target, connection, admission, afterwards })
      await budget.release(target, connection, true)
    }
  }

  /**
   * What to do where there was no connection: another one; `revoked` when the tenant was taken out of service meanwhile,
   * `outdated` when its role was not let in with what was known of it: the password was changed, or the role locked out, a
   * moment ago.
   */
  async #otherwise(
    error: unknown,
    { row, isValid }: Admission,
    isAnew: boolean,
    where: readonly Error[],
  ): Promise<ServerConnection | 'revoked' | 'outdated'> {
    if (isCode(error, 'closed')) throw error
    if (!isValid()) return 'revoked'
    if (!isCode(error, 'authentication-failed') || row.credential === undefined) throw error
    if (!isAnew) return 'outdated'
    // A password that is being set may be in force before the catalog knows.
    if (row.credential.pending === undefined) throw lockedOutError(row, error)
    return this.#budget.acquire(this.#targetWith(row, 'pending'), where)
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

  async query(query: unknown, values?: unknown): Promise<unknown> {
    const connection = await this.connect()
    try {
      return await connection.query(query, values)
    } finally {
      connection.release()
    }
  }

  async end(): Promise<void> {}
}

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
