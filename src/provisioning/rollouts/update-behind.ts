import type { ConcurrencyLimit } from '../../kernel/concurrency.ts'
import { TenantryError } from '../../kernel/errors.ts'
import { RecentlyUsed } from '../../kernel/recently-used.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { MakingContext } from '../context.ts'
import { bringUpToDate } from './bring-up-to-date.ts'
import { hazardsIn, type PlannedVersion } from './plan.ts'
import { planRollout } from './plan-rollout.ts'

/**
 * The time after a failed update in which a tenant is not tried again, in milliseconds: so that its other verbs have a
 * turn, and other tenants too. It doubles with each further failure.
 */
const restMs = { first: 2_000, most: 32_000 }
/** The longest wait for a transaction that a tenant keeps open, in milliseconds: other tenants wait for a turn. */
const olderTimeoutMs = 1_000
/** The number of tenants whose failure is remembered. */
const remembered = 1_000

interface Failure {
  readonly error: TenantryError
  readonly rest: number
  readonly until: number
}

/** Brings single tenants to this process's version when they are used. Each older version is planned once. */
export class UpdateBehind<Handle> {
  readonly #context: MakingContext<Handle>
  readonly #turns: ConcurrencyLimit
  /** By the tenants' rows. */
  readonly #failures = new RecentlyUsed<string, Failure>(remembered)
  readonly #plans = new Map<string, Promise<PlannedVersion | undefined>>()

  /** @param turns the turns of updates, at most so many at once */
  constructor(context: MakingContext<Handle>, turns: ConcurrencyLimit) {
    this.#context = context
    this.#turns = turns
  }

  /**
   * Brings a tenant to this process's version, if that is the desired one, and the plan is complete and has no hazard.
   *
   * @returns false if it has not that version afterwards
   * @throws the errors of a rollout for one tenant; for some seconds after one, the same again
   */
  async update(row: TenantRow, signal: AbortSignal): Promise<boolean> {
    const failed = this.#failures.get(row.rowId)
    if (failed !== undefined && performance.now() < failed.until) throw failed.error
    return this.#turns.run(() => this.#bring(row, signal), signal)
  }

  async #bring({ id, rowId, fingerprint, version }: TenantRow, signal: AbortSignal): Promise<boolean> {
    if (fingerprint === undefined || version === undefined) return false
    const { desired } = await this.#context.catalog.heads()
    if (desired?.fingerprint !== this.#context.fingerprint) return false
    const planned = await this.#planFor(fingerprint, version, signal)
    if (planned === undefined) return false
    try {
      await bringUpToDate(this.#context, { id, rowId }, planned, { signal, olderTimeoutMs })
      this.#failures.delete(rowId)
    } catch (error) {
      if (error instanceof TenantryError && !signal.aborted) this.#note(rowId, error)
      throw error
    }
    return (await this.#context.catalog.find(id))?.fingerprint === this.#context.fingerprint
  }

  #note(rowId: string, error: TenantryError): void {
    const last = this.#failures.get(rowId)
    const rest = last === undefined ? restMs.first : Math.min(restMs.most, last.rest * 2)
    this.#failures.set(rowId, { error, rest, until: performance.now() + rest })
  }

  #planFor(fingerprint: string, number: number, signal: AbortSignal): Promise<PlannedVersion | undefined> {
    const known = this.#plans.get(fingerprint)
    if (known !== undefined) return known
    const planning = planRollout(this.#context, { from: number, signal }).then((plan) => {
      const [planned] = plan.from
      return planned?.left.length === 0 && hazardsIn(plan).length === 0 ? planned : undefined
    })
    this.#plans.set(fingerprint, planning)
    planning.catch(() => this.#plans.delete(fingerprint))
    return planning
  }
}
