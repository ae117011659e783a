import * as v from 'valibot'
import type { Cancellable } from '../../kernel/abort.ts'
import { checked, readOptions } from '../../kernel/options.ts'
import type { Version } from '../../catalog/versions.ts'
import type { Observation } from '../../server/observation.ts'
import type { OnlineForm } from '../../structure/online.ts'
import type { Hazard } from './hazards.ts'

/** Options of `rollouts.plan`. */
export interface PlanOptions extends Cancellable {
  /** The running number of the only older version to plan for. Default: every older version that tenants have. */
  readonly from?: number
  /** Statements in place of those that Tenantry would plan; for one older version. */
  readonly steps?: readonly string[]
  /**
   * Columns and tables of the older version by the names that the newer one gives them, such as
   * `{ 'address.zip': 'address.postcode' }`. Without it a rename is planned as a drop and an addition.
   */
  readonly renames?: Readonly<Record<string, string>>
}

/** One statement of a plan, with its effects as they were observed on a scratch copy of the old version's template. */
export interface PlannedStep extends Pick<Observation, 'locks' | 'rewritten' | 'scanned'> {
  /** The name of the migration that it belongs to. */
  readonly migration?: string
  readonly sql: string
  readonly hazards: readonly Hazard[]
  /** The statements in its place for a tenant with a large table, if it has such a form and reading the table takes time. */
  readonly online?: OnlineForm
}

/** The way from one older version to the desired one. */
export interface PlannedVersion extends Version {
  /** The number of tenants of that version, active and suspended, by server. */
  readonly tenants: Readonly<Record<string, number>>
  /**
   * The origin of the steps: the pending migrations, the differences between the two versions' structures, or the
   * option `steps`.
   */
  readonly planner: 'migrations' | 'differences' | 'given'
  /** All run in one transaction in each tenant's database; for a tenant with a large table, after what `online` prepares. */
  readonly steps: readonly PlannedStep[]
  /**
   * The differences to the desired version that the steps left on the scratch copy, and errors of steps, in words. A
   * plan with any cannot be started: give the missing steps by the option `steps`.
   */
  readonly left: readonly string[]
}

/** A plan of a rollout: a value that can be stored as JSON, reviewed, and started later as it is. */
export interface RolloutPlan {
  readonly format: 1
  /** The id of the installation. */
  readonly installation: string
  /** The version that tenants will have. */
  readonly to: Version
  /** One for each older version that tenants have; empty if all are up to date. */
  readonly from: readonly PlannedVersion[]
}

/**
 * Reads a plan that was stored, as by `tenantry plan --save`.
 *
 * @throws `invalid-option` if it is none
 */
export function readPlan(plan: unknown): RolloutPlan {
  return readOptions('The plan of rollouts.start()', checkedPlan, plan)
}

const texts = v.array(v.string())
const version = { number: v.number(), fingerprint: v.string() }
const hazardSchema = v.looseObject({ code: v.string(), object: v.string(), danger: v.string(), reason: v.string() })
const onlineSchema = v.object({
  prepare: v.array(
    v.looseObject({
      sql: v.string(),
      isAlone: v.boolean(),
      when: v.picklist(['missing', 'not valid']),
      object: v.object({ kind: v.string(), schema: v.string(), name: v.string(), parent: v.optional(v.string()) }),
    }),
  ),
  finish: texts,
})
const stepSchema = v.object({
  sql: v.string(),
  online: v.optional(onlineSchema),
  locks: v.array(v.object({ table: v.string(), mode: v.string() })),
  rewritten: texts,
  scanned: texts,
  hazards: v.array(hazardSchema),
})
const planSchema = v.object({
  format: v.literal(1),
  installation: v.string(),
  to: v.object(version),
  from: v.array(
    v.object({
      ...version,
      tenants: v.record(v.string(), v.number()),
      planner: v.string(),
      steps: v.array(stepSchema),
      left: texts,
    }),
  ),
})

const checkedPlan = checked<RolloutPlan>(
  (plan) => v.is(planSchema, plan),
  'a plan of rollouts.plan()',
  'Give that value, or the content of a file of "tenantry plan --save".',
)

/** Returns the hazards of a plan, each once. */
export function hazardsIn(plan: RolloutPlan): readonly Hazard[] {
  const all = plan.from.flatMap(({ steps }) => steps.flatMap(({ hazards }) => hazards))
  return [...new Map(all.map((hazard) => [hazardKey(hazard), hazard])).values()]
}

/** Returns a hazard as it is allowed: `drop-column:author.name`. */
export function hazardKey({ code, object }: Pick<Hazard, 'code' | 'object'>): string {
  return `${code}:${object}`
}
