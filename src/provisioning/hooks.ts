import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cancellable, throwIfAborted, untilAborted } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Tenant } from '../catalog/tenant.ts'
import type { Login, Server } from '../server/port.ts'
import type { MakingContext, Seed, TenantHook } from './context.ts'

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
  { tenant, ...place }: Place & { readonly tenant: Tenant },
  { signal }: Cancellable,
): Promise<void> {
  try {
    await withHandle(context, place, tenant.id, (handle) => hook(handle, tenant), signal)
  } catch (error) {
    throwIfAborted(signal)
    throw new TenantryError('hook-failed', `${name} failed for the tenant ${tenant.id}: ${textOf(error)}`, {
      cause: error,
      tenant: tenant.id,
      hint: `The tenant is not active. Mend ${name}, and repeat the call: then it runs again.`,
    })
  }
}

/**
 * Runs the seed in a template that is being built.
 *
 * @throws `hook-failed` with what it threw as the cause
 */
export async function runSeed<Handle>(
  context: MakingContext<Handle>,
  seed: Seed<Handle>,
  place: Place,
  { signal }: Cancellable,
): Promise<void> {
  try {
    await withHandle(context, place, 'template', seed, signal)
  } catch (error) {
    throwIfAborted(signal)
    throw new TenantryError('hook-failed', `seed failed: ${textOf(error)}`, {
      cause: error,
      hint: 'No template was made. Mend seed: it runs again when the next tenant or spare needs the template.',
    })
  }
}

interface Place {
  readonly server: Server
  readonly database: Identifier
  /** Who logs in; the role that administers by default. */
  readonly login?: Login | undefined
  /** The role to act as, so that what the step makes belongs to it; that which logs in by default. */
  readonly role?: Identifier | undefined
}

/** Runs `work` with the ORM's handle on a database that is not in service yet. */
async function withHandle<Handle>(
  context: MakingContext<Handle>,
  { server, database, login, role }: Place,
  name: string,
  work: (handle: Handle) => unknown,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pool = server.pool(database, hookConnections, { login, role, purpose: 'service' })
  try {
    // A key of its own: rows that the step caches, such as those that anonymise then changes, are served to nobody else.
    const models = await context.models.open(pool, { id: name, rowId: randomUUID() })
    const handle = models.handle(signal)
    try {
      await untilAborted(Promise.resolve(work(handle)), signal)
    } finally {
      await models.finish(handle)
    }
  } finally {
    // A connection that the step never gave back is ended by the server when the database gets its name.
    await Promise.race([pool.end(), sleep(givingBackMs, undefined, { ref: false })])
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
