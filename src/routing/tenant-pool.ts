import { TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { ConnectionPool, Login, PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { FleetShare } from './fleet-share.ts'
import { here } from './long-leases.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Target } from './target.ts'

/**
 * Gives the leave to work on the pool's tenant, or throws why not.
 *
 * @param isAnew whether the catalog is to be asked, since what was known of the tenant turned out to be outdated
 */
export type Gate = (isAnew?: boolean) => Promise<Admission>

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
  /** As the tenant was when a connection was last lent. */
  #lastRow: TenantRow | undefined

  constructor(budget: ServerBudget, work: TenantPoolOptions) {
    this.#budget = budget
    this.#work = work
  }

  async connect(): Promise<PooledConnection> {
    // Before anything is awaited: then the stack still leads to who asks.
    const begun = this.#work.begun()
    const where = begun === undefined ? [] : [here(), begun]
    const leave = await this.#work.fleetShare?.enter()
    try {
      return await this.#lend(where, leave)
    } catch (error) {
      leave?.()
      throw error
    }
  }

  async #lend(where: readonly Error[], leave: (() => void) | undefined): Promise<PooledConnection> {
    for (let isAnew = false; ;) {
      const admission = await this.#work.gate(isAnew)
      const acquired = await this.#acquire(admission, isAnew, where)
      if (acquired === 'outdated') isAnew = true
      if (typeof acquired === 'string') continue
      const giveBack = (destroy: boolean) =>
        // What was lent before an eviction is not kept after it: somebody waits for the database to be left.
        this.#budget.release(this.#target(admission.row), acquired, destroy || !admission.isValid())
      this.#lastRow = admission.row
      if (admission.isValid()) {
        if (leave === undefined) return new Lease(acquired, giveBack)
        this.#work.fleetShare?.watch(acquired, leave)
        return new Lease(acquired, (destroy) => giveBack(destroy).finally(leave))
      }
      await giveBack(true)
    }
  }

  /**
   * A connection; `revoked` when there was none because the tenant was taken out of service meanwhile, `outdated` when its
   * role was not let in with what was known of it: the password was changed, or the role locked out, a moment ago.
   */
  async #acquire(
    admission: Admission,
    isAnew: boolean,
    where: readonly Error[],
  ): Promise<ServerConnection | 'revoked' | 'outdated'> {
    const { row } = admission
    try {
      return await this.#budget.acquire(this.#target(row), where)
    } catch (error) {
      if (isCode(error, 'closed')) throw error
      if (!admission.isValid()) return 'revoked'
      if (!isCode(error, 'authentication-failed') || row.credential === undefined) throw error
      if (!isAnew) return 'outdated'
      // A password that is being set may be in force before the catalog knows.
      if (row.credential.pending === undefined) throw lockedOutError(row, error)
      return this.#budget.acquire(this.#target(row, 'pending'), where)
    }
  }

  #target(row: TenantRow, which: 'current' | 'pending' = 'current'): Target {
    return { tenant: row.id, database: row.database, rowId: row.rowId, login: () => this.#work.loginOf(row, which) }
  }

  /** What is under way on a tenant may be cancelled also while it is taken out of service. */
  async control(sql: string): Promise<void> {
    if (this.#lastRow !== undefined) await this.#budget.control(this.#target(this.#lastRow), sql)
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

/** A connection borrowed for one piece of work. Whoever keeps it after giving it back can do nothing with it. */
class Lease implements PooledConnection {
  readonly #connection: ServerConnection
  readonly #giveBack: (destroy: boolean) => Promise<void>
  #released = false

  constructor(connection: ServerConnection, giveBack: (destroy: boolean) => Promise<void>) {
    this.#connection = connection
    this.#giveBack = giveBack
  }

  get processID(): number | undefined {
    return this.#connection.processID
  }

  query(query: unknown, values?: unknown): unknown {
    if (this.#released) throw new TenantryError('closed', 'This connection was given back already.')
    return this.#connection.query(query, values)
  }

  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
    return this.#connection.getTypeParser(oid, format)
  }

  release(destroy: boolean | Error = false): void {
    if (this.#released) return
    this.#released = true
    // Giving back never fails: what goes wrong with a connection then ends it.
    void this.#giveBack(destroy !== false)
  }
}
