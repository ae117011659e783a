import type { Cancellable } from '../kernel/abort.ts'
import { hasFailure } from '../kernel/errors.ts'
import { connectToAdministration } from './administration.ts'
import type { ProvisioningContext } from './context.ts'

/**
 * Runs `work`, which notifies other processes. The queue of notifications is one for the whole server, and any role can fill
 * it: then tenants' sessions that keep it full are ended, and `work` runs once more.
 */
export async function despiteFullQueue<T>(
  context: Pick<ProvisioningContext, 'home' | 'installation'>,
  options: Cancellable,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!hasFailure(error, 'queue-full')) throw error
    const session = await connectToAdministration(context, context.home, options)
    try {
      await context.home.freeNotificationQueue(session)
    } finally {
      await session.close()
    }
    return work()
  }
}
