import { TenantryError } from '../kernel/errors.ts'
import type { TenantRow } from '../catalog/tenant.ts'
import type { ServerConnection } from '../server/port.ts'
import type { Admission } from './admissions.ts'
import { type Borrower, Lease } from './lease.ts'
import type { ServerBudget } from './server-budget.ts'
import type { Asking, Target } from './target.ts'
import type { WorkScope } from './tenant-context.ts'

/**
 * Gives the leave to work on the pool's tenant, at once where nobody has to be asked; rejects with why not.
 *
 * @param outdated what turned out not to be so any more: the catalog is to be asked, unless it was since
 */
export type Gate = (outdated?: Admission) => Admission | Promise<Admission>

/** The credential that is in force, or the one that is being set. */
export type WhichCredential = 'current' | 'pending'

/** What a tenant's connections are borrowed from. */
export interface Lender {
  readonly budget: ServerBudget
  readonly gate: Gate
  target(row: TenantRow, which: WhichCredential): Target
}

/**
 * Somebody's call for a connection, until the lease is there or refused, and then for whom it is. One object for all of
 * that, as there are so many. What it is asked with stays as it is once a connection is granted.
 */
export class Borrowing implements Asking, Borrower {
  readonly where: readonly Error[]
  readonly scope: WorkScope | undefined
  readonly afterwards: (() => void) | undefined
  /** When it first asked for a connection: whoever has to ask anew has waited since then. */
  since!: number
  admission!: Admission
  target!: Target
  readonly #lender: Lender
  readonly #lease: PromiseWithResolvers<Lease>
  #granted: Lease | undefined
  #which: WhichCredential = 'current'
  #isAskedAnew = false

  /**
   * @param where see {@link Asking.where}
   * @param scope see {@link Asking.scope}
   * @param lease is resolved with it, or rejected
   * @param afterwards called when the lease has been given back
   */
  constructor(
    lender: Lender,
    where: readonly Error[],
    scope: WorkScope | undefined,
    lease: PromiseWithResolvers<Lease>,
    afterwards: (() => void) | undefined,
  ) {
    this.#lender = lender
    this.where = where
    this.scope = scope?.isOver ? undefined : scope
    this.#lease = lease
    this.afterwards = afterwards
  }

  get budget(): ServerBudget {
    return this.#lender.budget
  }

  /** Asks for the leave and then for a connection. @param outdated see {@link Gate} */
  seek(outdated?: Admission): void {
    const asked = this.#lender.gate(outdated)
    if (asked instanceof Promise) asked.then((admission) => this.#seekAs(admission, 'current'), this.#lease.reject)
    else this.#seekAs(asked, 'current')
  }

  #seekAs(admission: Admission, which: WhichCredential): void {
    this.admission = admission
    this.target = this.#lender.target(admission.row, which)
    this.#which = which
    this.since ??= performance.now()
    this.budget.ask(this)
  }

  grant(connection: ServerConnection): void {
    if (this.admission.isValid()) return this.#lease.resolve((this.#granted = new Lease(connection, this)))
    // The tenant was taken out of service while the connection was waited for: it is not kept.
    void Promise.resolve(this.budget.release(this.target, connection, true)).then(() => this.seek())
  }

  takeBack(): void {
    this.#granted?.release(true)
  }

  /**
   * Asks anew when the tenant was taken out of service meanwhile, or its role not let in with what was known of it, since
   * the password was changed, or the role locked out, a moment ago.
   */
  refuse(error: unknown): void {
    const { admission } = this
    const { credential } = admission.row
    const isLocked = isCode(error, 'authentication-failed') && credential !== undefined
    // Who has waited for long enough does not wait anew.
    if (isCode(error, 'closed') || isCode(error, 'pool-timeout')) this.#lease.reject(error)
    // Once only, whatever was heard meanwhile: everybody who is not let in makes what others were admitted by outdated.
    else if (isLocked && !this.#isAskedAnew) this.#seekAnew(admission)
    else if (isLocked && this.#which === 'pending') this.#lease.reject(error)
    // A password that is being set may be in force before the catalog knows.
    else if (isLocked && credential.pending !== undefined) this.#seekAs(admission, 'pending')
    else if (isLocked) this.#lease.reject(lockedOutError(admission.row, error))
    else if (admission.isValid()) this.#lease.reject(error)
    else this.seek()
  }

  #seekAnew(outdated: Admission): void {
    this.#isAskedAnew = true
    this.seek(outdated)
  }
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
