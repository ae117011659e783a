import { setTimeout as sleep } from 'node:timers/promises'
import { type Cancellable, throwIfAborted, untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Tenant } from '../catalog/tenant.ts'
import type { Server } from '../server/port.ts'
import type { MakingContext, TenantHook } from './context.ts'

/** How many connections a hook may use at once. */
const hookConnections = 2
/** How long a hook's connections may take to be given back, in milliseconds. */
const givingBackMs = 5_000

/**
 * Runs a step of the service's own in a tenant's database before the tenant is active.
 *
 * @throws `hook-failed` with what it threw as the cause
 */
export async function runHook<Handle>(
  context: MakingContext<Handle>,
  name: 'initialise' | 'anonymise',
  hook: TenantHook<Handle>,
  target: { readonly server: Server; readonly database: Identifier; readonly tenant: Tenant },
  { signal }: Cancellable,
): Promise<void> {
  const { server, database, tenant } = target
  const pool = server.pool(database, hookConnections)
  try {
    const models = await context.models.open(pool, tenant.id)
    const handle = models.handle(signal)
    try {
      await untilAborted(Promise.resolve(hook(handle, tenant)), signal)
    } finally {
      await models.finish(handle)
    }
  } catch (error) {
    throwIfAborted(signal)
    throw hookError(name, tenant, error)
  } finally {
    // A connection that the hook never gave back is ended by the server when the database gets its name.
    await Promise.race([pool.end(), sleep(givingBackMs, undefined, { ref: false })])
  }
}

function hookError(name: string, { id }: Tenant, cause: unknown): TenantryError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new TenantryError('hook-failed', `${name} failed for the tenant ${id}: ${text}`, {
    cause,
    tenant: id,
    hint: `The tenant is not active. Mend ${name}, and repeat the call: then it runs again.`,
  })
}
