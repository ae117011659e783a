import { TenantryError } from '../../kernel/errors.ts'
import { RecentlyUsed } from '../../kernel/recently-used.ts'
import type { TenantRow } from '../../catalog/tenant.ts'
import type { MakingContext } from '../context.ts'
import { bringUpToDate } from './bring-up-to-date.ts'
import { hazardsIn, type PlannedVersion } from './plan.ts'
import { planRollout } from './plan-rollout.ts'

/** The time after a failed update in which a tenant is not tried again, so that its other verbs have a turn; in milliseconds. */
const restMs = 2_000
/** The number of tenants whose failure is remembered. */
const remembered = 1_000

interface Failure {
  readonly error: TenantryError
  readonly until: number
}

/** Brings single tenants to this process's version when they are used. Each older version is planned once. */
export class UpdateBehind<Handle> {
  readonly #context: MakingContext<Handle>
  /** By the tenants' rows. */
  readonly #failures = new RecentlyUsed<string, Failure>(remembered)
  readonly #plans = new Map<string, Promise<PlannedVersion | undefined>>()

  constructor(context: MakingContext<Handle>) {
    this.#context = context
  }

  /**
   * Brings a tenant to this process's version, if that is the desired one, and the plan is complete and has no hazard.
   *
   * @returns false if it has not that version afterwards
   * @throws the errors of a rollout for one tenant; for two seconds after one, the same again
   */
  async update({ id, rowId, fingerprint, version }: TenantRow, signal: AbortSignal): Promise<boolean> {
    if (fingerprint === undefined || version === undefined) return false
    const { desired } = await this.#context.catalog.heads()
    if (desired?.fingerprint !== this.#context.fingerprint) return false
    const planned = await this.#planFor(fingerprint, version, signal)
    if (planned === undefined) return false
    const failed = this.#failures.get(rowId)
    if (failed !== undefined && performance.now() < failed.until) throw failed.error
    try {
      await bringUpToDate(this.#context, { id, rowId }, planned, { signal })
    } catch (error) {
      if (error instanceof TenantryError && !signal.aborted)
        this.#failures.set(rowId, { error, until: performance.now() + restMs })
      throw error
    }
    return (await this.#context.catalog.find(id))?.fingerprint === this.#context.fingerprint
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
