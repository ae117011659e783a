import type { Cancellable } from '../../kernel/abort.ts'
import { hasCode } from '../../kernel/errors.ts'
import { parseIdentifier } from '../../kernel/names.ts'
import type { MakingContext } from '../context.ts'
import { ensureExtensions, afterPreparation } from './apply-steps.ts'
import type { PlannedStep } from './plan.ts'
import { prepareOnline } from './prepare-online.ts'
import { proveSteps, type ScratchSite } from './trial.ts'

/**
 * Tries the online forms of steps on a scratch copy, one after the other, and then what takes the place of the steps.
 *
 * @returns the steps, without forms from the first that fails there, and without any if they do not lead to the desired
 *   version
 */
export async function proveOnline<Handle>(
  context: MakingContext<Handle>,
  site: ScratchSite,
  steps: readonly PlannedStep[],
  options: Cancellable,
): Promise<readonly PlannedStep[]> {
  const { server, session } = site
  const database = parseIdentifier(session.database, 'database')
  await ensureExtensions(context, server, session)
  const proved: PlannedStep[] = []
  for (const step of steps) {
    const fails = await isRefused(prepareOnline(context, { server, database }, [step], options))
    // No later step may come before this one.
    if (fails) break
    proved.push(step)
  }
  proved.push(...withoutForms(steps.slice(proved.length)))
  if (!proved.some(isReadOnline)) return withoutForms(proved)
  const left = await proveSteps(context, site, afterPreparation(proved), options)
  return left.length === 0 ? proved : withoutForms(proved)
}

/** True if a step reads a table that has rows, and has an online form. */
export function isReadOnline({ online, scanned }: PlannedStep): boolean {
  return online !== undefined && scanned.length > 0
}

/** Returns steps without their online forms. */
export function withoutForms(steps: readonly PlannedStep[]): readonly PlannedStep[] {
  return steps.map(({ online: _, ...step }) => step)
}

/** True if the server refuses a statement. */
async function isRefused(running: Promise<void>): Promise<boolean> {
  try {
    await running
    return false
  } catch (error) {
    if (hasCode(error, 'query-failed', 'permission-denied')) return true
    throw error
  }
}
