import { explained, hasCode, TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { Login, PooledConnection, ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import type { WorkScope } from './tenant-context.ts'

/** The credential in force, or the one that is being set. */
export type WhichCredential = 'current' | 'pending'

/** The origin of a tenant's leases. */
export interface LeaseSource {
  /**
   * Admits to the tenant, without waiting if no query is needed; throws the reason of a refusal.
   *
   * @param outdated an admission that proved wrong: the catalog is queried again, unless it was since
   */
  readonly gate: (outdated?: Admission) => Admission | Promise<Admission>
  /** Returns the login of a tenant's connections. @throws `credentials-unreadable` */
  readonly loginOf: (row: TenantRow, which: WhichCredential) => Login | undefined
  readonly budget: {
    /** Grants the lease a connection, or refuses it, at once or later. */
    acquire(lease: Lease): void
    /** Takes a connection back. @returns a promise if that takes time */
    release(connection: ServerConnection, destroy: boolean): Promise<void> | undefined
  }
  /** The tenant as of the last request. */
  row: TenantRow | undefined
}

/**
 * A connection leased for one piece of work; before that, the request for it. One object for both, as there are so
 * many. It is unusable after its release.
 */
export class Lease implements PooledConnection {
  /** Errors made for their stacks, where the connection was requested and where the work began. */
  readonly where: readonly Error[]
  /** The work that it is part of; undefined if that is unknown, or over already. */
  readonly scope: WorkScope | undefined
  /** The time of the first attempt, by the monotonic clock: the wait of a repeated request counts from then. */
  wantedAt!: number
  /** The time of the grant. */
  since!: number
  origin!: ServerConnection
  readonly #source: LeaseSource
  readonly #granted = Promise.withResolvers<Lease>()
  readonly #afterwards: (() => void) | undefined
  #admission!: Admission
  #which: WhichCredential = 'current'
  #isRetried = false
  #isReleased = false

  /** @param afterwards called when the connection has been released */
  constructor(
    source: LeaseSource,
    where: readonly Error[],
    scope: WorkScope | undefined,
    afterwards: (() => void) | undefined,
  ) {
    this.#source = source
    this.where = where
    this.scope = scope?.isOver ? undefined : scope
    this.#afterwards = afterwards
  }

  /** The tenant, as of the admission under which the connection is leased. */
  get row(): TenantRow {
    return this.#admission.row
  }

  get processID(): number | undefined {
    return this.origin.processID
  }

  query(query: unknown, values?: unknown): unknown {
    if (this.#isReleased) throw new TenantryError('closed', 'This connection was given back already.')
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
    if (this.#isReleased) return
    this.#isReleased = true
    // A connection that was leased before an eviction is closed after it: the eviction waits until nothing is connected
    // to the database.
    const released = this.#source.budget.release(this.origin, destroy !== false || !this.#admission.isValid())
    if (this.#afterwards === undefined) return
    if (released === undefined) this.#afterwards()
    else void released.then(this.#afterwards)
  }

  /** Gets an admission, and then a connection. */
  acquire(): Promise<Lease> {
    this.#seek()
    return this.#granted.promise
  }

  #seek(outdated?: Admission): void {
    const admitted = this.#source.gate(outdated)
    if (admitted instanceof Promise)
      admitted.then((admission) => this.#seekAs(admission, 'current'), this.#granted.reject)
    else this.#seekAs(admitted, 'current')
  }

  #seekAs(admission: Admission, which: WhichCredential): void {
    this.#admission = admission
    this.#source.row = admission.row
    this.#which = which
    this.wantedAt ??= performance.now()
    this.#source.budget.acquire(this)
  }

  /** Returns the login, when a connection is opened; undefined for the role that administers. */
  login(): Login | undefined {
    return this.#source.loginOf(this.row, this.#which)
  }

  /** Receives the connection, possibly within the release of another lease. */
  grant(connection: ServerConnection, now: number): void {
    this.origin = connection
    this.since = now
    if (this.#admission.isValid()) return this.#granted.resolve(this)
    // The tenant was taken out of service during the wait, so the connection is closed.
    void Promise.resolve(this.#source.budget.release(connection, true)).then(() => this.#seek())
  }

  /**
   * Retries if the tenant was taken out of service meanwhile. Also retries if the server refused its role, since the
   * password may have been changed, or the login disabled, a moment ago.
   */
  refuse(error: unknown): void {
    const admission = this.#admission
    const { credential } = admission.row
    const isRefused = hasCode(error, 'authentication-failed') && credential !== undefined
    // A request that has timed out is not repeated.
    if (hasCode(error, 'closed') || hasCode(error, 'pool-timeout')) return this.#granted.reject(error)
    if (!isRefused) return admission.isValid() ? this.#granted.reject(error) : this.#seek()
    if (!this.#isRetried) {
      // Once only, even if further notices arrive: each refused request invalidates the admission that others hold.
      this.#isRetried = true
      return this.#seek(admission)
    }
    if (this.#which === 'pending') this.#granted.reject(error)
    // A password that is being set may be in force before the catalog records it.
    else if (credential.pending !== undefined) this.#seekAs(admission, 'pending')
    else this.#granted.reject(refusedLoginError(admission.row, error))
  }
}

function refusedLoginError({ id }: TenantRow, error: TenantryError): TenantryError {
  return explained(error, 'authentication-failed', error.message, {
    tenant: id,
    hint: `The role of the tenant ${id} was changed or dropped. Repair it with tenants.rotateCredentials() or "tenantry rotate-credentials".`,
  })
}
