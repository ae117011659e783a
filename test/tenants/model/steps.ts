import type { ErrorCode } from 'tenantry'
import type { Result } from './calls.ts'
import { type TenantModel, viewOf, type World } from './world.ts'

/**
 * One indivisible step of a call: the world after it, and the result or the next step. Undefined while it has to wait
 * for another call. Other calls can see the state between two steps.
 */
export type Step = (world: World) => Move | undefined

export type Move =
  | { readonly world: World; readonly next: Step }
  | { readonly world: World; readonly result: Result; readonly next?: undefined }

export function done(world: World, outcome: string, tenant?: TenantModel): Move {
  return { world, result: tenant === undefined ? { outcome } : { outcome, tenant: viewOf(tenant) } }
}

export function refused(world: World, code: ErrorCode): Move {
  return { world, result: { code } }
}

/** The steps while no other call has the lock of an id. */
export function underLock(id: string, first: Step): Step {
  return (world) => {
    if (world.locks.includes(id)) return undefined
    return keeping(id, first)({ ...world, locks: [...world.locks, id] })
  }
}

function keeping(id: string, step: Step): Step {
  return (world) => {
    const move = step(world)
    if (move === undefined) return undefined
    if (move.next !== undefined) return { ...move, next: keeping(id, move.next) }
    return { ...move, world: { ...move.world, locks: move.world.locks.filter((it) => it !== id) } }
  }
}

/** Carries a call out from its first step to its end, without another in between. */
export function carriedOut(world: World, first: Step): { readonly world: World; readonly result: Result } {
  for (let now = world, step = first; ;) {
    const move = step(now)
    if (move === undefined) throw new Error('A call waits for a lock that nobody gives back.')
    if (move.next === undefined) return move
    now = move.world
    step = move.next
  }
}
