import { TenantryError } from '../../kernel/errors.ts'
import type { Session } from '../../server/port.ts'
import type { Cancellable } from '../../kernel/abort.ts'

/** The right of a process to change one tenant in a rollout, for a while. */
export interface TenantLease {
  /** Its length, in milliseconds; and the time after which the server ends sessions that are not used. */
  readonly ms: number
  /** Extends it. Returns false if another process has it since. */
  renew(): Promise<boolean>
}

/** The number of times that a lease is renewed in its length. */
const renewals = 3

/**
 * Runs `work`, and meanwhile renews the lease and uses the sessions that hold the tenant's locks. If the process is
 * stopped, the server ends those sessions, and nothing that the process began can be committed when it wakes up.
 *
 * @param work aborted as soon as the lease is lost
 */
export async function whileLeased<Options extends Cancellable & { readonly lease?: TenantLease | undefined }, T>(
  sessions: readonly Session[],
  options: Options,
  work: (options: Options) => Promise<T>,
): Promise<T> {
  const { lease, signal } = options
  if (lease === undefined) return work(options)
  const lost = new AbortController()
  const use = async () => {
    for (const session of new Set(sessions)) await session.query('select 1')
    if (!(await lease.renew())) throw takenOverError()
  }
  let using = Promise.resolve()
  const timer = setInterval(() => {
    using = using.then(use).catch((error: unknown) => lost.abort(error))
  }, lease.ms / renewals)
  try {
    return await work({
      ...options,
      signal: signal === undefined ? lost.signal : AbortSignal.any([signal, lost.signal]),
    })
  } catch (error) {
    // What ended the work, such as a lost connection, decides if it is tried again.
    throw lost.signal.aborted && signal?.aborted !== true ? lost.signal.reason : error
  } finally {
    clearInterval(timer)
    // The sessions have one user at a time.
    await using
  }
}

function takenOverError(): TenantryError {
  return new TenantryError('aborted', 'Another process has taken over the tenant.')
}
