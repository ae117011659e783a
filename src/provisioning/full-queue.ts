import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import { connectToAdministration } from './administration.ts'
import type { ProvisioningContext } from './context.ts'

/** The SQLSTATE of a NOTIFY that found the queue full, at the latest with its commit. */
const queueFull = '54000'

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
    if (!(error instanceof TenantryError) || error.sqlState !== queueFull) throw error
    const session = await connectToAdministration(context, context.home, options)
    try {
      await context.home.freeNotificationQueue(session)
    } finally {
      await session.close()
    }
    return work()
  }
}
