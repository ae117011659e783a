import { type Cancellable, throwIfAborted } from './kernel/abort.ts'
import { ConcurrencyLimit } from './kernel/concurrency.ts'
import { closeInTime } from './kernel/closing.ts'
import { TenantryError } from './kernel/errors.ts'
import { Listeners } from './kernel/listeners.ts'
import type { TenantId } from './kernel/names.ts'
import { functionOption, readOptions } from './kernel/options.ts'
import { Catalog } from './catalog/catalog.ts'
import { Domains } from './catalog/domains.ts'
import { Inventory } from './catalog/inventory.ts'
import { RolloutRecords } from './catalog/rollout-records.ts'
import { RolloutTargets } from './catalog/rollout-targets.ts'
import type { Status } from './catalog/status.ts'
import type { Tenant, TenantRow } from './catalog/tenant.ts'
import type { CloseOptions, Tenantry } from './api.ts'
import { Calls } from './calls.ts'
import type { TenantryConfig } from './config.ts'
import { findServers } from './find-servers.ts'
import { domainsGroup, rolloutsGroup, serversGroup, templatesGroup, tenantsGroup } from './groups.ts'
import { type CheckedConfig, readConfig } from './read-config.ts'
import { keySource, type Opening, overTenants, prepare } from './opening.ts'
import { OwnConnections } from './own-connections.ts'
import { Activity } from './provisioning/templates/activity.ts'
import type { MakingContext, TenantHook, TenantryEvent } from './provisioning/context.ts'
import { despiteFullQueue } from './provisioning/locks/full-queue.ts'
import { reconcileLeftBehind } from './provisioning/reconcile/reconcile.ts'
import { statusOf } from './provisioning/fleet/status.ts'
import { UpdateBehind } from './provisioning/rollouts/update-behind.ts'
import type { StartUp } from './provisioning/fleet/survey.ts'
import { Keeper } from './provisioning/templates/keeper.ts'
import { onboard, type Onboarded } from './provisioning/tenants/onboard.ts'
import type { OnboardOptions } from './provisioning/tenants/tenant-options.ts'
import { routingOptions } from './routing-options.ts'
import type { FleetResult, ForEachOptions } from './routing/for-each.ts'
import type { LongLease } from './routing/long-leases.ts'
import type { CapturedTenant } from './routing/tenant-context.ts'
import { TenantWork, type WorkOptions } from './routing/tenant-work.ts'
import { readCallOptions } from './verb-options.ts'

/**
 * Opens Tenantry: makes sure that the catalog exists and is up to date, and that it knows the servers and models. With
 * `mode: 'router'` it only looks, with `catalog: { create: false }` the catalog must exist. Any number of processes may do
 * this at once.
 *
 * @throws `invalid-option`, `models-invalid`, `embedded-in-production`, `embedded-unavailable`, `catalog-missing`,
 *   `catalog-newer`, `catalog-older`, `credentials-key-missing`, `credentials-unreadable`, `permission-denied` and the
 *   errors of a connection
 */
export function openTenantry<Handle>(given: TenantryConfig<Handle>): Promise<Tenantry<Handle>> {
  return open(given, reportBehind)
}

/** Opens Tenantry for a command, whose output says what matters there. @throws as {@link openTenantry} does */
export function openForCommand<Handle>(given: TenantryConfig<Handle>): Promise<Tenantry<Handle>> {
  return open(given, () => undefined)
}

async function open<Handle>(
  given: TenantryConfig<Handle>,
  onOpened: (parts: CheckedConfig<Handle> & Opening) => void,
): Promise<Tenantry<Handle>> {
  const { servers: configured, signal, ...checked } = readConfig(given)
  throwIfAborted(signal)
  // Nothing is started for models that cannot be used.
  if (configured === undefined) await checked.models.schema.fingerprint()
  const { stop, ...found } = await findServers({ ...checked, servers: configured, signal }, checked.catalog)
  const listeners = new Listeners<TenantryEvent>()
  const bound = overTenants(found, checked, (event) => listeners.emit(event))
  const { home } = bound
  try {
    const opening = await prepare(bound, checked, keySource(checked, bound), signal)
    onOpened({ ...checked, ...opening })
    const servers = new Map(bound.servers.map((server) => [server.name, server]))
    return new OpenTenantry({ ...checked, ...opening, home, servers }, listeners, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** Logs the number of tenants that a rollout has to change, if there are any. */
function reportBehind<Handle>({ startUp, logger, mode, whenBehind }: CheckedConfig<Handle> & Opening): void {
  if (startUp.behind === 0 || mode === 'router' || whenBehind === 'update') return
  logger.warn(
    `Tenants with older tables than the desired version: ${startUp.behind} of ${startUp.tenants}. "tenantry plan" shows the changes, "tenantry start-rollout" makes them.`,
  )
}

type Parts<Handle> = CheckedConfig<Handle> & Opening & Pick<MakingContext<Handle>, 'home' | 'servers'>

class OpenTenantry<Handle> implements Tenantry<Handle> {
  readonly #parts: Parts<Handle>
  readonly #making: MakingContext<Handle>
  readonly #work: TenantWork<Handle>
  readonly #calls: Calls
  readonly #listeners: Listeners<TenantryEvent>
  readonly #keeper: Keeper<Handle>
  readonly #connections: OwnConnections
  readonly #stop: () => Promise<void>
  #closing: Promise<void> | undefined

  readonly tenants: Tenantry<Handle>['tenants']
  readonly domains: Tenantry<Handle>['domains']
  readonly templates: Tenantry<Handle>['templates']
  readonly rollouts: Tenantry<Handle>['rollouts']
  readonly servers: Tenantry<Handle>['servers']

  /** @param stop stops the server that was started for this Tenantry */
  constructor(parts: Parts<Handle>, listeners: Listeners<TenantryEvent>, stop: () => Promise<void>) {
    this.#listeners = listeners
    this.#connections = new OwnConnections(parts)
    const { catalog: catalogPool, claims } = this.#connections
    const [catalog, domains] = [new Catalog(catalogPool), new Domains(catalogPool)]
    this.#parts = parts
    const onLongLease = (lease: LongLease) => this.#listeners.emit({ event: 'lease-held', ...lease })
    // Turns of its own: a hook of a verb, which holds one, may use a tenant that is behind.
    const turns = new ConcurrencyLimit(parts.concurrency)
    const update = (row: TenantRow) => this.#calls.run((signal) => behind.update(row, signal))
    this.#work = new TenantWork({ ...routingOptions(parts, catalogPool, update), catalog, domains, onLongLease })
    this.#making = {
      ...parts,
      catalog,
      domains,
      inventory: new Inventory(claims),
      rolloutRecords: new RolloutRecords(catalogPool),
      rolloutTargets: new RolloutTargets(catalogPool),
      knownTemplates: new Map(),
      knownStructures: new Map(),
      onboarding: new Activity(),
      connect: (server, options) => this.#connections.session(server, options),
      initialise: parts.initialise && this.#inContext(parts.initialise),
      anonymise: parts.anonymise && this.#inContext(parts.anonymise),
      beforeUpdate: parts.beforeUpdate && this.#inContext(parts.beforeUpdate),
      afterUpdate: parts.afterUpdate && this.#inContext(parts.afterUpdate),
      evict: (eviction, limitMs, options) =>
        despiteFullQueue(parts, options, () => this.#work.evict(eviction, limitMs, options)),
      forgetDomains: (domain) => this.#work.forgetDomains(domain),
      emit: (event) => this.#listeners.emit(event),
    }
    const behind = new UpdateBehind(this.#making, turns)
    this.#calls = new Calls(parts.mode, parts.concurrency)
    this.#stop = stop
    this.#keeper = new Keeper(this.#making, parts.spares)
    const groups = {
      calls: this.#calls,
      making: this.#making,
      mode: parts.mode,
      work: this.#work,
      keeper: this.#keeper,
      inContext: (hook: TenantHook<Handle>) => this.#inContext(hook),
    }
    this.tenants = tenantsGroup(groups)
    this.domains = domainsGroup(groups)
    this.templates = templatesGroup(groups)
    this.rollouts = rolloutsGroup(groups)
    this.servers = serversGroup(groups)
    if (parts.mode === 'full') this.#keeper.start()
    if (parts.mode === 'full' && parts.hasLeftBehind) this.#tidyUp()
  }

  get startUp(): StartUp {
    return this.#parts.startUp
  }

  async onboard(id: string, options?: OnboardOptions): Promise<Onboarded> {
    try {
      return await this.#calls.change('onboard', options, (checked) => onboard(this.#making, id, checked))
    } finally {
      // Also a call that failed may have used a spare.
      this.#keeper.poke()
    }
  }

  async status(options?: Cancellable): Promise<Status> {
    return statusOf(this.#making, this.#parts.roles, this.#keeper.wanted, this.#calls.read('status', options))
  }

  on(listener: (event: TenantryEvent) => void): () => void {
    readOptions('listener', functionOption(), listener)
    return this.#listeners.add(listener)
  }

  async with<T>(
    id: string | CapturedTenant,
    work: (handle: Handle) => T | Promise<T>,
    options?: WorkOptions,
  ): Promise<T> {
    return this.#work.with(id, work, options)
  }

  async run<T>(id: string | CapturedTenant, work: () => T | Promise<T>, options?: WorkOptions): Promise<T> {
    return this.#work.run(id, work, options)
  }

  async forEach<T>(
    work: (handle: Handle, tenant: Tenant) => T | Promise<T>,
    options: ForEachOptions<T> = {},
  ): Promise<FleetResult<T>> {
    return this.#work.forEach(work, options)
  }

  currentTenant(): TenantId {
    return this.#work.current().tenant
  }

  captureTenant(): CapturedTenant {
    return { ...this.#work.current() }
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const { deadlineMs = 10_000 } = readCallOptions('close', options)
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#calls.refuseNew()
    this.#work.refuseNew()
    try {
      await closeInTime(deadlineMs, (workMs) => this.#end(workMs))
    } finally {
      await this.#stop()
    }
  }

  /** Ends all work under way, after a number of milliseconds at the latest, and closes every connection. */
  async #end(workMs: number): Promise<void> {
    const end = performance.now() + workMs
    const keeping = this.#keeper.stop(workMs)
    // A change under way may still have to notify the other processes, so the router is closed last.
    await this.#calls.end(workMs)
    await keeping
    await this.#work.close(Math.max(0, end - performance.now()))
    await this.#connections.end()
    await this.#parts.disconnected
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * Finishes work that was interrupted long ago, in the background. A failure is left to the next process that opens.
   */
  #tidyUp(): void {
    void this.#calls
      .inTurn((signal) => reconcileLeftBehind(this.#making, { signal }))
      .catch((error: unknown) => {
        // Closed before its turn came: the next process that opens does it.
        if (!(error instanceof TenantryError)) throw error
      })
  }

  /** Returns a hook of the service that runs in the context of its tenant, in any context of the call. */
  #inContext(hook: TenantHook<Handle>): TenantHook<Handle> {
    return (handle, tenant) => this.#work.runFor(tenant.id, () => hook(handle, tenant))
  }
}
