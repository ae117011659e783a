import type { TenantId } from '../../kernel/names.ts'
import type { Verb } from '../../catalog/audit.ts'
import type { TransitionDetails } from '../../catalog/catalog.ts'
import { mayTake, nextTransition, stateError, type TenantState, type Transition } from '../../catalog/states.ts'
import { type TenantRow, unknownTenant } from '../../catalog/tenant.ts'
import { emitChange, type ProvisioningContext } from '../context.ts'
import { goneError } from './make-tenant.ts'
import { durably, type LockedWork } from '../locks/locked-work.ts'

/** The transitions that are verbs of their own. */
type TransitionVerb = Transition & Verb

/** A tenant before a transition. */
export interface BeforeTransition {
  readonly row: TenantRow
  readonly isDone: boolean
  /** The number of the transition: the next one, or the last if it is done. */
  readonly transition: number
}

/**
 * Looks up a tenant that is to take a transition.
 *
 * @param done the states in which only the remains of an interrupted call have to be finished
 * @throws `tenant-unknown`, `tenant-state`
 */
export async function beforeTransition(
  { catalog }: LockedWork,
  verb: TransitionVerb,
  id: TenantId,
  done: readonly TenantState[],
): Promise<BeforeTransition> {
  const row = await catalog.find(id)
  if (row === undefined) throw unknownTenant(id)
  const isDone = done.includes(row.state)
  if (!isDone && !mayTake(verb, row.state)) throw stateError(verb, id, row.state)
  return { row, isDone, transition: isDone ? row.transition : nextTransition(row.transition) }
}

/** Takes a transition, in a transaction of its own unless `commit` provides one, and emits its event. */
export async function takeTransition(
  context: ProvisioningContext,
  locked: LockedWork,
  { row, isDone, transition }: BeforeTransition,
  change: Omit<TransitionDetails, 'verb' | 'transition'> & { readonly verb: TransitionVerb },
  commit = (take: () => Promise<TenantRow>) => durably(locked, take),
): Promise<TenantRow> {
  if (isDone) return row
  const taken = await commit(async () => {
    const after = await locked.catalog.take(change.verb, row.rowId, { ...change, transition })
    if (after === undefined) throw goneError()
    return after
  })
  emitChange(context, change.verb, taken, { from: row.state, to: change.to, since: locked.since })
  return taken
}
