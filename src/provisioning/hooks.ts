import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cancellable, throwIfAborted, untilAborted } from '../kernel/abort.ts'
import { messageOf, TenantryError } from '../kernel/errors.ts'
import type { Identifier } from '../kernel/names.ts'
import type { Tenant } from '../catalog/tenant.ts'
import type { Login, Server } from '../server/port.ts'
import type { MakingContext, Seed, TenantHook } from './context.ts'

/** The number of connections that a hook may use at once. */
const hookConnections = 2
/** The time that a hook's connections have to be released, in milliseconds. */
const givingBackMs = 5_000

/** The names of the hooks that run in a tenant's database. */
type HookName = 'initialise' | 'anonymise' | 'beforeUpdate' | 'afterUpdate'

const inactive = 'The tenant is not active'

/** The state in which a failed hook leaves the tenant. */
const leftBy: { readonly [Name in HookName]: string } = {
  initialise: inactive,
  anonymise: inactive,
  beforeUpdate: 'The tenant keeps its version',
  afterUpdate: 'The tenant has the new tables, and its older version in the catalog',
}

/**
 * Runs a hook of the service in a tenant's database.
 *
 * @throws `hook-failed` with the hook's error as the cause
 */
export async function runHook<Handle>(
  context: MakingContext<Handle>,
  name: HookName,
  hook: TenantHook<Handle>,
  { tenant, ...place }: Place & { readonly tenant: Tenant },
  { signal }: Cancellable,
): Promise<void> {
  try {
    await withHandle(context, place, tenant.id, (handle) => hook(handle, tenant), signal)
  } catch (error) {
    throwIfAborted(signal)
    throw new TenantryError('hook-failed', `${name} failed for the tenant ${tenant.id}: ${messageOf(error)}`, {
      cause: error,
      tenant: tenant.id,
      hint: `${leftBy[name]}. Fix ${name}, and repeat the call: then it runs again.`,
    })
  }
}

/**
 * Runs the seed in a template that is being built.
 *
 * @throws `hook-failed` with the seed's error as the cause
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
    throw new TenantryError('hook-failed', `seed failed: ${messageOf(error)}`, {
      cause: error,
      hint: 'No template was made. Fix seed: it runs again when the next tenant or spare needs the template.',
    })
  }
}

interface Place {
  readonly server: Server
  readonly database: Identifier
  /** The role that logs in; the role that administers by default. */
  readonly login?: Login | undefined
  /** The role to act as, which owns the hook's new objects; the login role by default. */
  readonly role?: Identifier | undefined
}

/** Runs `work` with the ORM's handle on a database, on connections of its own. */
async function withHandle<Handle>(
  context: MakingContext<Handle>,
  { server, database, login, role }: Place,
  name: string,
  work: (handle: Handle) => unknown,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pool = server.pool(database, hookConnections, { login, role, purpose: 'service' })
  try {
    // A key of its own: cached rows of the hook, such as those that anonymise then changes, are served to no other
    // handle.
    const handles = await context.models.handles.open(pool, { id: name, rowId: randomUUID() })
    try {
      const handle = handles.handle(signal)
      try {
        await untilAborted(Promise.resolve(work(handle)), signal)
      } finally {
        await handles.finish(handle)
      }
    } finally {
      await handles.close?.()
    }
  } finally {
    // A connection that the hook never released is ended by the server when the database gets its name.
    await Promise.race([pool.end(), sleep(givingBackMs, undefined, { ref: false })])
  }
}
