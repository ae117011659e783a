import type { Cancellable } from '../../kernel/abort.ts'
import type { PlanOptions, RolloutPlan } from './plan.ts'
import type { PreflightOptions, PreflightResult } from './preflight.ts'
import type { RolloutOptions, RolloutResult } from './roll-out.ts'
import type { JoinOptions } from './join.ts'
import type {
  ResumeOptions,
  RetryOptions,
  Rollout,
  RolloutChoice,
  RolloutTarget,
  TargetListOptions,
} from './rollout.ts'
import type { TakePartOptions } from './take-part.ts'
import type { DesiredSet } from './set-desired.ts'

/** Changes of the tables of all tenants. */
export interface Rollouts {
  /**
   * Sets the version that all tenants are to have. Versions that were declared or set before it count as older from
   * then on. Until the first call it is always the version that a process declared last.
   *
   * @param version its number or its fingerprint
   * @throws `version-unknown`
   */
  setDesired(version: number | string, options?: Cancellable): Promise<DesiredSet>
  /**
   * Plans how tenants of older versions get the tables of this process's models, which must be the desired version. The
   * steps are the pending migrations, or the differences between the versions. They are run on a copy of the older
   * version's template, which must equal the new one afterwards; locks, rewrites and scans are observed there. No tenant
   * is touched.
   *
   * @throws `not-desired`, `version-unknown` if an older version has no template any more, `verification-failed`,
   *   `models-invalid`, `schema-conflict` for migrations that are not those of the older version, `lock-timeout`,
   *   `permission-denied`
   */
  plan(options?: PlanOptions): Promise<RolloutPlan>
  /**
   * Reads how many rows of each tenant are in the way of a plan's steps: those that are equal under a new unique key, that
   * a new check refuses, and so on. It changes nothing, and takes no lock that writers wait for.
   *
   * @throws `server-unknown`, `tenant-unknown` for one of `only`
   */
  preflight(plan: RolloutPlan, options?: PreflightOptions): Promise<PreflightResult>
  /**
   * Carries out a plan for every active or suspended tenant of its older versions, a few at once. The steps for a tenant
   * run in one transaction, which compares the result with the desired version before it commits: a tenant is at the new
   * version, or untouched. A lock that is not free, or a lost connection, is tried again; other failures are in the
   * result, and the rest goes on. The rollout is recorded in the catalog: other processes may {@link join} it, and starting
   * the same plan again continues it.
   *
   * @param plan a value of {@link plan}, also one that was stored as JSON
   * @throws `plan-refused`, `not-desired`, `rollout-open`, `server-unknown`, `tenant-unknown` for one of `only` or `canary`
   */
  start(plan: RolloutPlan, options?: RolloutOptions): Promise<RolloutResult>
  /**
   * Works on a running rollout in this process, beside others, until it is over or not running any more.
   *
   * @throws `rollout-unknown`, `rollout-state` if it is not running, `plan-refused` if it leads to another version than
   *   that of this process
   */
  join(options?: JoinOptions): Promise<RolloutResult>
  /** Works on every rollout to this process's version, until the signal ends it or Tenantry is closed. */
  work(options?: TakePartOptions): Promise<void>
  /** Lets processes finish the tenants that they are changing, and begin no others. @throws `rollout-unknown`, `rollout-state` */
  pause(options?: RolloutChoice): Promise<Rollout>
  /**
   * Lets a paused or halted rollout go on, in the processes that {@link join} it or {@link work}.
   *
   * @throws `rollout-unknown`, `rollout-state`
   */
  resume(options?: ResumeOptions): Promise<Rollout>
  /**
   * Lets the failed tenants of a rollout be tried again, also if it was done.
   *
   * @throws `rollout-unknown`, `rollout-state`, `rollout-open` if another one is open, `plan-refused` for one that is done
   *   and whose version is not the desired one any more, `tenant-unknown` for one of `only`
   */
  retry(options?: RetryOptions): Promise<Rollout>
  /**
   * Ends a rollout for good. Tenants that it has changed keep the new version.
   *
   * @throws `rollout-unknown`, `rollout-state`
   */
  abort(options?: RolloutChoice): Promise<Rollout>
  /** Returns a rollout. @throws `rollout-unknown` */
  get(options?: RolloutChoice): Promise<Rollout>
  /** Returns the latest rollouts, the newest first: 20, or `limit`, of at most 1,000. */
  list(options?: Cancellable & { readonly limit?: number }): Promise<readonly Rollout[]>
  /** Returns the plan of a rollout. @throws `rollout-unknown` */
  planOf(options?: RolloutChoice): Promise<RolloutPlan>
  /** Returns tenants of a rollout, in the order of their ids. @throws `rollout-unknown` */
  targets(options?: TargetListOptions): Promise<readonly RolloutTarget[]>
  /** Yields a rollout whenever it has changed, until it is over. @throws `rollout-unknown`, `aborted` */
  watch(options?: RolloutChoice): AsyncGenerator<Rollout, void>
}
