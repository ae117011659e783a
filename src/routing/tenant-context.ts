import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { readable } from '../kernel/options.ts'

/** The tenant that code works for, as plain data that can be carried elsewhere, such as into a job queue. */
export interface CapturedTenant {
  readonly tenant: TenantId
  /**
   * The row's id, which tells it from a later tenant with the same id; undefined inside of the steps that make a
   * tenant.
   */
  readonly row?: string | undefined
}

/**
 * The end of a piece of work: a unit of work ends with its call, a context once all work that was begun inside of it
 * has ended.
 */
type ScopeKind = 'unit-of-work' | 'context'

/** A piece of work for a tenant, from the call of `with` or `run` to its end. Code that it calls runs in it. */
export class WorkScope {
  readonly captured: CapturedTenant
  /** An error made where the work began, for its stack. */
  readonly begun: Error | undefined
  readonly #kind: ScopeKind
  readonly #outer: WorkScope | undefined
  /** The scopes inside of this one that have not ended, and itself. */
  #open = 0

  constructor(captured: CapturedTenant, begun: Error | undefined, kind: ScopeKind, outer: WorkScope | undefined) {
    this.captured = captured
    this.begun = begun
    this.#kind = kind
    this.#outer = outer
    this.#count(1)
  }

  /** True if nothing that began here may hold a connection any more. */
  get isOver(): boolean {
    if (this.#open > 0) return false
    return this.#kind === 'unit-of-work' || this.#outer === undefined || this.#outer.isOver
  }

  end(): void {
    this.#count(-1)
  }

  #count(change: 1 | -1): void {
    this.#open += change
    if (this.#outer !== undefined) this.#outer.#open += change
  }
}

/**
 * Tracks the tenant that the running code works for. Outside of a context there is none, so no tenant can be left over.
 */
export class TenantContext {
  readonly #storage = new AsyncLocalStorage<WorkScope>()

  /** The scope that the running code is in. */
  get scope(): WorkScope | undefined {
    return this.#storage.getStore()
  }

  /**
   * Completes an id by the row that the running code works for. Inside of a tenant's context its id means that tenant,
   * even if it was purged and another one has the id.
   */
  meant(captured: CapturedTenant): CapturedTenant {
    if (captured.row !== undefined) return captured
    const current = this.scope?.captured
    return current?.tenant === captured.tenant ? current : captured
  }

  /**
   * Makes the scope of a piece of work; the caller ends it.
   *
   * @param begun an error made where the work begins, for its stack
   * @param nested allows the context of another tenant inside of one
   * @throws `tenant-conflict` inside another tenant's context
   */
  begin(captured: CapturedTenant, kind: ScopeKind, begun?: Error, nested: 'allow' | 'refuse' = 'refuse'): WorkScope {
    const outer = this.scope
    if (outer !== undefined && nested === 'refuse') refuseOther(outer.captured, captured)
    return new WorkScope(captured, begun, kind, outer)
  }

  /**
   * Runs `work` in a scope. The same as `run` of the storage, which makes two maps. The resource ends the context:
   * otherwise the caller would be left in it.
   */
  enter<T>(scope: WorkScope, work: () => T): T {
    return new AsyncResource('TenantWork').runInAsyncScope(() => {
      this.#storage.enterWith(scope)
      return work()
    })
  }

  /** Refuses an operation that concerns more than one tenant. @throws `tenant-conflict` inside a tenant's context */
  refuseInside(what: string): void {
    const current = this.scope?.captured.tenant
    if (current === undefined) return
    throw new TenantryError('tenant-conflict', `${what} was begun inside the context of ${current}.`, {
      tenant: current,
      hint: `Leave the context of ${current} first: work on other tenants must not run as part of its own.`,
    })
  }

  /** @throws `no-tenant` outside of a context */
  current(): CapturedTenant {
    if (this.scope !== undefined) return this.scope.captured
    throw new TenantryError('no-tenant', 'No tenant is set where this code runs.', {
      hint: 'Run it inside tenantry.run(id, ...) or tenantry.with(id, ...). Timers and queues begun elsewhere have no tenant: captureTenant() carries it there.',
    })
  }
}

/** Refuses another tenant; entering the same tenant again is fine. */
function refuseOther(current: CapturedTenant, { tenant, row }: CapturedTenant): void {
  const isSameRow = row === undefined || current.row === undefined || row === current.row
  if (current.tenant === tenant && isSameRow) return
  const inside = current.tenant === tenant ? `an earlier tenant with that id` : current.tenant
  throw new TenantryError('tenant-conflict', `Work for ${tenant} was begun inside the context of ${inside}.`, {
    tenant,
    hint: `Leave that context first: one tenant's work must not run as part of another's. If it is intended, set nested: 'allow'.`,
  })
}

/**
 * Reads a tenant argument: an id, or a captured tenant.
 *
 * @throws `invalid-tenant-id`, `invalid-option`
 */
export function toCaptured(given: string | CapturedTenant, parse: (id: string) => TenantId): CapturedTenant {
  if (typeof given === 'string') return { tenant: parse(given) }
  const { tenant, row } = readable('The tenant argument', () => ({ tenant: given?.tenant, row: given?.row }))
  if (row === undefined || typeof row === 'string') return { tenant: parse(tenant), row }
  throw new TenantryError('invalid-option', 'The tenant argument is neither an id nor a result of captureTenant().', {
    hint: 'Pass the result of captureTenant() unchanged; it may be written to JSON and read again.',
  })
}
