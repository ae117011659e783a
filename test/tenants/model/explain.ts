import { isDeepStrictEqual } from 'node:util'
import type { Result } from './calls.ts'
import type { Step } from './steps.ts'
import type { World } from './world.ts'

/** A call that ran beside others: its first step in the model, and its real result. */
export interface Overlapping {
  readonly step: Step
  readonly result: Result
}

/**
 * Searches an order of the calls' steps that explains the result of each call, and the final state.
 *
 * @param audit the real audit trail: it rules out most orders at once
 * @param fits true for a world that equals the final state, once all calls have ended
 * @returns the world after it; undefined if no order explains the results
 */
export function explained(
  world: World,
  calls: readonly Overlapping[],
  audit: World['audit'],
  fits: (world: World) => boolean,
): World | undefined {
  if (calls.length === 0) return fits(world) ? world : undefined
  for (const [index, { step, result }] of calls.entries()) {
    const move = step(world)
    // It waits for a lock here; another one goes first.
    if (move === undefined || !isPrefix(move.world.audit, audit)) continue
    if (move.next === undefined && !isDeepStrictEqual(move.result, result)) continue
    const left = move.next === undefined ? calls.toSpliced(index, 1) : calls.with(index, { step: move.next, result })
    const found = explained(move.world, left, audit, fits)
    if (found !== undefined) return found
  }
  return undefined
}

function isPrefix(earlier: World['audit'], later: World['audit']): boolean {
  return Object.entries(earlier).every(([id, lines]) =>
    lines.every((line, index) => isDeepStrictEqual(line, later[id]?.[index])),
  )
}
