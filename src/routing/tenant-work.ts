import { abortedError, type Cancellable, throwIfAborted, untilAborted } from '../kernel/abort.ts'
import type { DomainName } from '../kernel/domain-names.ts'
import { parseTenantId, type TenantId } from '../kernel/names.ts'
import { cancellable, functionOption, oneOf, optionsOf, readOptions } from '../kernel/options.ts'
import type { Tenant } from '../catalog/tenant.ts'
import { closedError } from './closed-error.ts'
import type { Eviction } from './eviction-channel.ts'
import { type FleetResult, type ForEachOptions, forEachTenant } from './for-each.ts'
import { here } from './long-leases.ts'
import { type OnTenant, Router, type RoutingOptions } from './router.ts'
import { type CapturedTenant, TenantContext, toCaptured } from './tenant-context.ts'

/** Options of `with` and `run`. */
export interface WorkOptions extends Cancellable {
  /** Allows or refuses the context of another tenant inside one. Default `refuse`. */
  readonly nested?: 'allow' | 'refuse'
}

const workSchema = optionsOf<WorkOptions>({ nested: oneOf(['allow', 'refuse']), ...cancellable })
const noOptions: WorkOptions = {}

/** Reads the arguments of work for one tenant. Most calls have no options, and every call passes here. */
function readWork(call: string, work: unknown, options: WorkOptions = noOptions): WorkOptions {
  if (typeof work !== 'function') readOptions('work', functionOption(), work)
  return options === noOptions ? options : readOptions(call, workSchema, options)
}

/** Runs a service's work for its tenants: each piece in its tenant's context, with a handle of its own. */
export class TenantWork<Handle> {
  readonly #context = new TenantContext()
  readonly #router: Router<Handle>
  #isClosed = false

  constructor(options: Omit<RoutingOptions<Handle>, 'scope'>) {
    this.#router = new Router({ ...options, scope: () => this.#context.scope })
  }

  with<T>(id: string | CapturedTenant, work: (handle: Handle) => T | Promise<T>, options?: WorkOptions): Promise<T> {
    return this.#with(id, work, options)
  }

  async run<T>(id: string | CapturedTenant, work: () => T | Promise<T>, options?: WorkOptions): Promise<T> {
    this.#refuseClosed()
    const { signal, nested } = readWork('run', work, options)
    const begun = this.#here()
    const entered = await untilAborted(this.#router.admit(this.#meant(id)), signal)
    const scope = this.#context.begin(entered, 'context', begun, nested)
    try {
      return await this.#context.enter(scope, work)
    } finally {
      scope.end()
    }
  }

  /** Works on every tenant that matches the filter, a few at once. */
  async forEach<T>(
    work: (handle: Handle, tenant: Tenant) => T | Promise<T>,
    options: ForEachOptions<T>,
  ): Promise<FleetResult<T>> {
    this.#refuseClosed()
    readOptions('work', functionOption(), work)
    this.#context.refuseInside('A fleet query')
    const onTenant: OnTenant<T> = (captured, tenant, { signal, giveUp }) =>
      this.#with(captured, (handle) => work(handle, tenant), { signal }, giveUp)
    return forEachTenant(this.#router.fleet(onTenant), options)
  }

  /** Runs `work` in the context of a tenant that may not be in service, in any context of the caller. */
  runFor<T>(tenant: TenantId, work: () => T): T {
    return this.#context.enter(this.#context.begin({ tenant }, 'context', undefined, 'allow'), work)
  }

  /** Returns the tenant of a domain; see {@link Router.tenantOfDomain}. */
  tenantOfDomain(domain: string): Promise<CapturedTenant | undefined> {
    return this.#router.tenantOfDomain(domain)
  }

  /** Forgets a domain, or all of them. */
  forgetDomains(domain?: DomainName): void {
    this.#router.forgetDomains(domain)
  }

  /** @throws `no-tenant` outside of a context */
  current(): CapturedTenant {
    return this.#context.current()
  }

  /** Makes every process of the installation release a tenant; see {@link Router.evict}. */
  evict(eviction: Eviction, limitMs: number, options: Cancellable): Promise<void> {
    return this.#router.evict(eviction, limitMs, options)
  }

  /** Refuses all work that is begun from now on. */
  refuseNew(): void {
    this.#isClosed = true
  }

  /** Refuses new work, waits at most `deadlineMs` milliseconds for work under way, and closes all connections. */
  close(deadlineMs: number): Promise<void> {
    return this.#router.close(deadlineMs)
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw closedError()
  }

  /** @param giveUp ends the unit of work although its work continues: connections that it still holds are taken back */
  async #with<T>(
    id: string | CapturedTenant,
    work: (handle: Handle) => T | Promise<T>,
    options: WorkOptions | undefined,
    giveUp?: AbortSignal,
  ): Promise<T> {
    this.#refuseClosed()
    const { signal, nested } = readWork('with', work, options)
    const begun = this.#here()
    const captured = this.#meant(id)
    throwIfAborted(signal)
    // A known route is awaited as well, so that work never begins before the call has returned.
    const route = this.#router.known(captured) ?? untilAborted(this.#router.route(captured), signal)
    const { entered, handles } = await route
    const scope = this.#context.begin(entered, 'unit-of-work', begun, nested)
    const handle = handles.begin(signal)
    try {
      const working = this.#context.enter(scope, () => work(handle))
      return await (giveUp === undefined ? working : untilAborted(Promise.resolve(working), giveUp))
    } catch (error) {
      throw this.#router.isAbortion(error, signal) ? abortedError(signal as AbortSignal) : error
    } finally {
      const finishing = handles.finish(handle)
      if (finishing !== undefined && giveUp?.aborted !== true) await finishing
      scope.end()
    }
  }

  /** @throws `invalid-tenant-id`, `invalid-option` */
  #meant(id: string | CapturedTenant): CapturedTenant {
    return this.#context.meant(toCaptured(id, parseTenantId))
  }

  /** Returns the place where work begins, for the report of a connection that it holds for too long. */
  #here(): Error | undefined {
    return this.#router.traces ? here() : undefined
  }
}
