import { hasCode, hasFailure, TenantryError } from '../../kernel/errors.ts'
import type { Server, Session, TransactionOptions } from '../../server/port.ts'
import type { MakingContext, ProvisioningContext } from '../context.ts'
import type { PlannedStep } from './plan.ts'

/** Creates the extensions that the database lacks, as the role that administers: they are no steps. */
export function ensureExtensions(
  { extensions }: Pick<MakingContext<never>, 'extensions'>,
  server: Server,
  session: Session,
): Promise<void> {
  return server.apply(
    session,
    extensions.map((name) => ({ change: 'add-extension', name }) as const),
  )
}

/**
 * Runs the steps of a plan in the open transaction, in one round trip: as the role that owns the objects.
 *
 * @param lockTimeoutMs the longest wait for each lock from then on. Default: that of the transaction
 */
export function runSteps(
  { separation }: Pick<ProvisioningContext, 'separation'>,
  session: Session,
  steps: readonly Pick<PlannedStep, 'sql'>[],
  lockTimeoutMs?: number,
): Promise<void> {
  const role = separation?.groups.objects
  return session.script(
    steps.map(({ sql }) => sql),
    { role, lockTimeoutMs },
  )
}

/** Returns the statements that are left of steps once these are prepared. */
export function afterPreparation(steps: readonly PlannedStep[]): readonly Pick<PlannedStep, 'sql'>[] {
  return steps.flatMap((step) => step.online?.finish.map((sql) => ({ sql })) ?? [step])
}

/** Returns the options of the transaction of a plan's steps: the same on the scratch copy and on tenants. */
export function stepOptions({ models }: Pick<ProvisioningContext, 'models'>): TransactionOptions {
  // The time zone decides which value a timestamp without one becomes.
  return { schema: models.schema.defaultSchema, timeZone: 'UTC' }
}

/** True for a lock, a lost connection or a limit of the server; a statement that takes too long will again. */
export function mayPass(error: unknown): boolean {
  if (hasCode(error, 'timeout', 'hook-failed')) return false
  return hasFailure(error, 'race', 'exhausted') || (error instanceof TenantryError && error.retryable)
}
