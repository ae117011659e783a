import { TenantryError } from '../../kernel/errors.ts'
import type { MakingContext } from '../context.ts'
import type { Hazard } from './hazards.ts'
import { hazardKey, hazardsIn, type RolloutPlan } from './plan.ts'
import { desiredHere } from './plan-rollout.ts'

/** Refuses a plan that cannot be started as it is. @throws `plan-refused`, `not-desired` */
export async function refuseUnready<Handle>(
  context: MakingContext<Handle>,
  plan: RolloutPlan,
  { allow = [] }: { readonly allow?: readonly string[] },
): Promise<void> {
  if (plan.installation !== context.installationId) {
    throw refused('The plan is of another installation.', 'Make one here: rollouts.plan(), or "tenantry plan".')
  }
  const to = await desiredHere(context)
  if (plan.to.fingerprint !== to.fingerprint) {
    const message = `The plan leads to version ${plan.to.number}, and the desired version is ${to.number}.`
    throw refused(message, 'Make a new plan.')
  }
  const left = plan.from.flatMap(({ number, left: some }) => some.map((text) => `version ${number}: ${text}`))
  if (left.length > 0) {
    const hint = 'Give the statements by the option steps (--steps FILE), or the new names by renames (--rename).'
    throw refused(`The plan does not lead to version ${to.number}. ${left.join('; ')}`, hint)
  }
  const open = hazardsIn(plan).filter((hazard) => !allow.includes(hazardKey(hazard)))
  if (open.length > 0) throw refused(`The plan has hazards: ${open.map(hazardText).join(' ')}`, allowHint(open))
}

function refused(message: string, hint: string): TenantryError {
  return new TenantryError('plan-refused', message, { hint })
}

function hazardText(hazard: Hazard): string {
  return `${hazardKey(hazard)}: ${hazard.reason}`
}

function allowHint(hazards: readonly Hazard[]): string {
  return `Nothing was changed. Allow each that is meant: ${hazards.map((it) => `--allow ${hazardKey(it)}`).join(' ')}.`
}
