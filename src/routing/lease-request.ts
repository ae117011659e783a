import { explained, hasCode, type TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import { type LeaseHolder, Lease } from './lease.ts'
import type { ServerBudget } from './server-budget.ts'
import type { ConnectionRequest, Target } from './target.ts'
import type { WorkScope } from './tenant-context.ts'

/**
 * Admits to the pool's tenant, without waiting if no query is needed; throws the reason of a refusal.
 *
 * @param outdated an admission that proved wrong: the catalog is queried again, unless it was since
 */
export type Gate = (outdated?: Admission) => Admission | Promise<Admission>

/** The credential in force, or the one that is being set. */
export type WhichCredential = 'current' | 'pending'

/** The source of a tenant's connections. */
export interface LeaseSource {
  readonly budget: ServerBudget
  readonly gate: Gate
  target(row: TenantRow, which: WhichCredential): Target
}

/**
 * A request for a lease. Once it is granted, the same object is the lease's holder: one object for both, as there are
 * so many. Its fields do not change after the grant.
 */
export class LeaseRequest implements ConnectionRequest, LeaseHolder {
  readonly where: readonly Error[]
  readonly scope: WorkScope | undefined
  readonly afterwards: (() => void) | undefined
  /** The time of the first attempt, by the monotonic clock: the wait of a repeated request counts from then. */
  since!: number
  admission!: Admission
  target!: Target
  readonly #source: LeaseSource
  readonly #lease: PromiseWithResolvers<Lease>
  #granted: Lease | undefined
  #which: WhichCredential = 'current'
  #isRetried = false

  /**
   * @param where see {@link ConnectionRequest.where}
   * @param scope see {@link ConnectionRequest.scope}
   * @param lease the promise to settle
   * @param afterwards called when the lease has been released
   */
  constructor(
    source: LeaseSource,
    where: readonly Error[],
    scope: WorkScope | undefined,
    lease: PromiseWithResolvers<Lease>,
    afterwards: (() => void) | undefined,
  ) {
    this.#source = source
    this.where = where
    this.scope = scope?.isOver ? undefined : scope
    this.#lease = lease
    this.afterwards = afterwards
  }

  get budget(): ServerBudget {
    return this.#source.budget
  }

  /** Gets an admission, and then a connection. @param outdated see {@link Gate} */
  seek(outdated?: Admission): void {
    const admitted = this.#source.gate(outdated)
    if (admitted instanceof Promise)
      admitted.then((admission) => this.#seekAs(admission, 'current'), this.#lease.reject)
    else this.#seekAs(admitted, 'current')
  }

  #seekAs(admission: Admission, which: WhichCredential): void {
    this.admission = admission
    this.target = this.#source.target(admission.row, which)
    this.#which = which
    this.since ??= performance.now()
    this.budget.acquire(this)
  }

  grant(connection: ServerConnection): void {
    if (this.admission.isValid()) return this.#lease.resolve((this.#granted = new Lease(connection, this)))
    // The tenant was taken out of service during the wait, so the connection is closed.
    void Promise.resolve(this.budget.release(this.target, connection, true)).then(() => this.seek())
  }

  takeBack(): void {
    this.#granted?.release(true)
  }

  /**
   * Retries if the tenant was taken out of service meanwhile. Also retries if the server refused its role, since the
   * password may have been changed, or the login disabled, a moment ago.
   */
  refuse(error: unknown): void {
    const { admission } = this
    const { credential } = admission.row
    const isRefused = hasCode(error, 'authentication-failed') && credential !== undefined
    // A request that has timed out is not repeated.
    if (hasCode(error, 'closed') || hasCode(error, 'pool-timeout')) this.#lease.reject(error)
    // Repeated once only, even if further notices arrive: each refused request invalidates the admission that others
    // hold.
    else if (isRefused && !this.#isRetried) this.#retry(admission)
    else if (isRefused && this.#which === 'pending') this.#lease.reject(error)
    // A password that is being set may be in force before the catalog records it.
    else if (isRefused && credential.pending !== undefined) this.#seekAs(admission, 'pending')
    else if (isRefused) this.#lease.reject(refusedLoginError(admission.row, error))
    else if (admission.isValid()) this.#lease.reject(error)
    else this.seek()
  }

  #retry(outdated: Admission): void {
    this.#isRetried = true
    this.seek(outdated)
  }
}

function refusedLoginError({ id }: TenantRow, error: TenantryError): TenantryError {
  return explained(error, 'authentication-failed', error.message, {
    tenant: id,
    hint: `The role of the tenant ${id} was changed or dropped. Repair it with tenants.rotateCredentials() or "tenantry rotate-credentials".`,
  })
}
