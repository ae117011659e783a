import type { Cancellable } from '../../kernel/abort.ts'
import { hasFailure } from '../../kernel/errors.ts'
import { withSession } from '../../server/with-session.ts'
import { connectToAdministration } from './administration.ts'
import type { ProvisioningContext } from '../context.ts'

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
    const { home } = context
    await withSession(connectToAdministration(context, home, options), (session) => home.coordination.makeRoom(session))
    return work()
  }
}
