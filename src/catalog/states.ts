import { TenantryError } from '../kernel/errors.ts'

/** The states of a tenant, in the order of a life. docs/tenant-states.md draws them. */
export const tenantStates = ['onboarding', 'active', 'suspended', 'offboarded', 'purging'] as const

/** The state of a tenant. */
export type TenantState = (typeof tenantStates)[number]

/** The transitions between the states. Nothing else may change one; a test holds every pair against this table. */
export const transitions = {
  activate: { from: ['onboarding'], to: ['active'] },
  suspend: { from: ['active'], to: ['suspended'] },
  resume: { from: ['suspended'], to: ['active'] },
  offboard: { from: ['active', 'suspended'], to: ['offboarded'] },
  restore: { from: ['offboarded'], to: ['active', 'suspended'] },
  purge: { from: ['onboarding', 'offboarded'], to: ['purging'] },
} as const satisfies Record<string, { from: readonly TenantState[]; to: readonly TenantState[] }>

/** The name of a transition. */
export type Transition = keyof typeof transitions

/** True for a tenant that has its database and is not offboarded. */
export function isInService(state: TenantState): boolean {
  return state === 'active' || state === 'suspended'
}

/** True if a tenant in this state may take the transition. */
export function mayTake(transition: Transition, state: TenantState): boolean {
  const from: readonly TenantState[] = transitions[transition].from
  return from.includes(state)
}

/** The number of a tenant's next transition, by the number of its last; see `TenantRow.transition`. */
export function nextTransition(last: number): number {
  return Math.max(last + 1, Date.now())
}

/** The error of a verb that a tenant's state does not allow. */
export function stateError(verb: string, id: string, state: TenantState): TenantryError {
  return new TenantryError('tenant-state', `${verb} is not possible for the tenant ${id}: it is ${state}.`, {
    tenant: id,
    hint: verb === 'purge' && state in beforePurge ? beforePurge[state] : wayOut[state],
  })
}

const beforePurge: Partial<Readonly<Record<TenantState, string>>> = {
  active: 'Offboard it first.',
  suspended: 'Offboard it first.',
}

const wayOut: Readonly<Record<TenantState, string>> = {
  onboarding: 'Repeat the call that makes it (onboard, clone or adopt), or purge it.',
  active: 'Suspend or offboard it first.',
  suspended: 'Resume it first.',
  offboarded: 'Restore it first, or purge it.',
  purging: 'Repeat the purge: then its id is free again.',
}
