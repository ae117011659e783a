import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { readable } from '../kernel/options.ts'

/** Which tenant code works for, as plain data that can be carried elsewhere, such as into a job queue. */
export interface CapturedTenant {
  readonly tenant: TenantId
  /** What tells it from another tenant that has the id one day; undefined inside of the steps that make a tenant. */
  readonly row?: string | undefined
}

/** What is known where code runs for a tenant. */
interface Entered {
  readonly captured: CapturedTenant
  /** An error made where the work began, for its stack. */
  readonly begun: Error | undefined
}

/** Which tenant the running code works for. There is no tenant that could be left over: outside of a context is none. */
export class TenantContext {
  readonly #storage = new AsyncLocalStorage<Entered>()

  /**
   * Runs `work` for a tenant. Entering the same tenant again is fine.
   *
   * @param begun an error made where the work begins, for its stack
   * @throws `tenant-conflict` inside another tenant's context
   */
  run<T>(captured: CapturedTenant, work: () => T, begun?: Error): T {
    const { tenant } = captured
    const current = this.#storage.getStore()?.captured.tenant
    if (current === undefined || current === tenant) return this.#enter({ captured, begun }, work)
    throw new TenantryError('tenant-conflict', `Work for ${tenant} was begun inside the context of ${current}.`, {
      tenant,
      hint: `Leave the context of ${current} first: what belongs to one tenant must not run as part of another's work. If it is meant, say nested: 'allow'.`,
    })
  }

  /** Runs `work` for a tenant whatever the context is that it was asked for in. */
  runApart<T>(captured: CapturedTenant, work: () => T, begun?: Error): T {
    return this.#enter({ captured, begun }, work)
  }

  /** Where the running work began, if that was noted. */
  get begun(): Error | undefined {
    return this.#storage.getStore()?.begun
  }

  /** For what goes beyond one tenant. @throws `tenant-conflict` inside a tenant's context */
  refuseInside(what: string): void {
    const current = this.#storage.getStore()?.captured.tenant
    if (current === undefined) return
    throw new TenantryError('tenant-conflict', `${what} was begun inside the context of ${current}.`, {
      tenant: current,
      hint: `Leave the context of ${current} first: what concerns other tenants must not run as part of its work.`,
    })
  }

  /** @throws `no-tenant` outside of a context */
  current(): CapturedTenant {
    const current = this.#storage.getStore()
    if (current !== undefined) return current.captured
    throw new TenantryError('no-tenant', 'No tenant is set where this code runs.', {
      hint: 'Run it inside tenantry.run(id, ...) or tenantry.with(id, ...). Timers and queues begun elsewhere have no tenant: captureTenant() carries it there.',
    })
  }

  /** As `run` of the storage, which makes two maps. The resource ends the context: what called would be left in it. */
  #enter<T>(entered: Entered, work: () => T): T {
    return new AsyncResource('TenantWork').runInAsyncScope(() => {
      this.#storage.enterWith(entered)
      return work()
    })
  }
}

/**
 * What was given for a tenant: its id, or what was captured.
 *
 * @throws `invalid-tenant-id`, `invalid-option`
 */
export function toCaptured(given: string | CapturedTenant, parse: (id: string) => TenantId): CapturedTenant {
  if (typeof given === 'string') return { tenant: parse(given) }
  const { tenant, row } = readable('What is given for a tenant', () => ({ tenant: given?.tenant, row: given?.row }))
  if (row === undefined || typeof row === 'string') return { tenant: parse(tenant), row }
  throw new TenantryError(
    'invalid-option',
    'What is given for a tenant is neither an id nor what captureTenant() gave.',
    {
      hint: 'Carry what captureTenant() gives unchanged; as JSON it may be written and read again.',
    },
  )
}
