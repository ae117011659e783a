import { AsyncLocalStorage } from 'node:async_hooks'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'

/** Which tenant the running code works for. There is no tenant that could be left over: outside of a context is none. */
export class TenantContext {
  readonly #storage = new AsyncLocalStorage<TenantId>()

  /**
   * Runs `work` for a tenant. Entering the same tenant again is fine.
   *
   * @throws `tenant-conflict` inside another tenant's context
   */
  run<T>(tenant: TenantId, work: () => T): T {
    const current = this.#storage.getStore()
    if (current === undefined || current === tenant) return this.#storage.run(tenant, work)
    throw new TenantryError('tenant-conflict', `Work for ${tenant} was begun inside the context of ${current}.`, {
      tenant,
      hint: `Leave the context of ${current} first: what belongs to one tenant must not run as part of another's work.`,
    })
  }

  /** Runs `work` for a tenant whatever the context is that it was asked for in. */
  runApart<T>(tenant: TenantId, work: () => T): T {
    return this.#storage.run(tenant, work)
  }

  /** @throws `no-tenant` outside of a context */
  current(): TenantId {
    const current = this.#storage.getStore()
    if (current !== undefined) return current
    throw new TenantryError('no-tenant', 'No tenant is set where this code runs.', {
      hint: 'Run it inside tenantry.run(id, ...) or tenantry.with(id, ...). Timers and queues begun elsewhere have no tenant.',
    })
  }
}
