import { type Cancellable, throwIfAborted, untilAborted } from './kernel/abort.ts'
import { closeInTime } from './kernel/closing.ts'
import { ConcurrencyLimit } from './kernel/concurrency.ts'
import { TenantryError } from './kernel/errors.ts'
import { Listeners } from './kernel/listeners.ts'
import { parseTenantId, type TenantId } from './kernel/names.ts'
import { deadline, functionOption, longestMs } from './kernel/options.ts'
import { WorkUnderWay } from './kernel/work-under-way.ts'
import type { AuditEntry } from './catalog/audit.ts'
import { Catalog } from './catalog/catalog.ts'
import { type ListOptions, readListOptions } from './catalog/list-options.ts'
import { Domains } from './catalog/domains.ts'
import type { Status } from './catalog/status.ts'
import { Inventory } from './catalog/inventory.ts'
import { publicTenant, type Tenant } from './catalog/tenant.ts'
import type { EnvironmentOptions, HistoryOptions, Tenantry } from './api.ts'
import { type CheckedConfig, findServers, isServerGiven, readConfig, type TenantryConfig } from './config.ts'
import { Activity } from './provisioning/activity.ts'
import { adopt, type Adopted, type AdoptOptions } from './provisioning/tenants/adopt.ts'
import { type CheckedTenant, type CheckOptions, checkTenant } from './provisioning/tenants/check-tenant.ts'
import { clone, type Cloned, type CloneOptions } from './provisioning/tenants/clone.ts'
import {
  credentialsOf,
  environmentOf,
  type ReencryptedCredentials,
  reencryptCredentials,
  type RotatedCredentials,
  rotateCredentials,
  type RotateOptions,
  type TenantCredentials,
} from './provisioning/tenants/credentials.ts'
import type { DrainOptions, MakingContext, TenantHook, TenantryEvent, VerbOptions } from './provisioning/context.ts'
import {
  addDomain,
  type AddedDomain,
  domainNamed,
  domainsOf,
  type DomainsOptions,
  removeDomain,
  type RemovedDomain,
  type TenantDomain,
  type VerifiedDomain,
  verifyDomain,
  type VerifyDomainOptions,
} from './domains/domains.ts'
import { despiteFullQueue } from './provisioning/full-queue.ts'
import { Keeper } from './provisioning/templates/keeper.ts'
import {
  offboard,
  type Offboarded,
  type OffboardOptions,
  restore,
  type Restored,
} from './provisioning/tenants/offboard.ts'
import { onboard, type Onboarded } from './provisioning/tenants/onboard.ts'
import {
  purge,
  type Purged,
  type PurgedExpired,
  purgeExpired,
  type PurgeExpiredOptions,
} from './provisioning/tenants/purge.ts'
import {
  reconcile,
  reconcileLeftBehind,
  type Reconciliation,
  type ReconcileOptions,
} from './provisioning/reconcile/reconcile.ts'
import { restamp, type Restamped, type RestampOptions } from './provisioning/tenants/restamp.ts'
import { type RemovedTemplates, removeTemplates } from './provisioning/templates/retire.ts'
import { statusOf } from './provisioning/status.ts'
import { resume, type Resumed, suspend, type Suspended } from './provisioning/tenants/suspend.ts'
import type { StartUp } from './provisioning/survey.ts'
import type { OnboardOptions } from './provisioning/tenants/tenant-options.ts'
import { update, type Updated, type UpdateOptions } from './provisioning/tenants/update.ts'
import { keySource, type Opening, overTenants, prepare, routerError } from './opening.ts'
import { OwnConnections } from './own-connections.ts'
import { routingOptions } from './routing-options.ts'
import { closedError } from './routing/closed-error.ts'
import type { FleetResult, ForEachOptions } from './routing/for-each.ts'
import type { LongLease } from './routing/long-leases.ts'
import type { CapturedTenant } from './routing/tenant-context.ts'
import { TenantWork, type WorkOptions } from './routing/tenant-work.ts'
import { type Call, readCallOptions } from './verb-options.ts'

/**
 * Opens Tenantry: makes sure that the catalog exists and is up to date, and that it knows the servers and models. With
 * `mode: 'router'` it only looks, with `createCatalog: false` the catalog must exist. Any number of processes may do
 * this at once.
 *
 * @throws `invalid-option`, `models-invalid`, `embedded-in-production`, `embedded-unavailable`, `catalog-missing`,
 *   `catalog-newer`, `catalog-older`, `credentials-key-missing`, `credentials-unreadable`, `permission-denied` and the
 *   errors of a connection
 */
export async function openTenantry<Handle>(given: TenantryConfig<Handle>): Promise<Tenantry<Handle>> {
  const { config, checked } = readConfig(given)
  throwIfAborted(config.signal)
  // Nothing is started for models that cannot be used.
  if (!isServerGiven(config)) await checked.models.schema.fingerprint()
  const { servers: found, stop } = await findServers(config, { create: checked.createCatalog })
  const listeners = new Listeners<TenantryEvent>()
  const servers = overTenants(found, checked, (event) => listeners.emit(event))
  const [home] = servers
  try {
    const opening = await prepare(servers, checked, keySource(config, checked, servers), config.signal)
    const byName = new Map(servers.map((server) => [server.name, server]))
    return new OpenTenantry({ ...checked, ...opening, home, servers: byName }, listeners, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** The number of domains that are looked up in the DNS at once. */
const domainLookups = 4

type Parts<Handle> = CheckedConfig<Handle> & Opening & Pick<MakingContext<Handle>, 'home' | 'servers'>

class OpenTenantry<Handle> implements Tenantry<Handle> {
  readonly #parts: Parts<Handle>
  readonly #making: MakingContext<Handle>
  readonly #work: TenantWork<Handle>
  readonly #listeners: Listeners<TenantryEvent>
  readonly #changing: ConcurrencyLimit
  /** A limit of its own, since the DNS may be slow. */
  readonly #verifying = new ConcurrencyLimit(domainLookups)
  readonly #underWay = new WorkUnderWay()
  readonly #keeper: Keeper<Handle>
  readonly #connections: OwnConnections
  readonly #stop: () => Promise<void>
  #closing: Promise<void> | undefined

  /** @param stop stops the server that was started for this Tenantry */
  constructor(parts: Parts<Handle>, listeners: Listeners<TenantryEvent>, stop: () => Promise<void>) {
    this.#listeners = listeners
    this.#connections = new OwnConnections(parts)
    const { catalog: catalogPool, claims } = this.#connections
    const [catalog, domains] = [new Catalog(catalogPool), new Domains(catalogPool)]
    this.#parts = parts
    const onLongLease = (lease: LongLease) => this.#listeners.emit({ event: 'lease-held', ...lease })
    this.#work = new TenantWork({ ...routingOptions(parts, catalogPool), catalog, domains, onLongLease })
    this.#making = {
      ...parts,
      catalog,
      domains,
      inventory: new Inventory(claims),
      knownTemplates: new Map(),
      knownStructures: new Map(),
      onboarding: new Activity(),
      connect: (server, options) => this.#connections.session(server, options),
      initialise: this.#inContext(parts.initialise),
      anonymise: this.#inContext(parts.anonymise),
      evict: (eviction, limitMs, options) =>
        despiteFullQueue(parts, options, () => this.#work.evict(eviction, limitMs, options)),
      forgetDomains: (domain) => this.#work.forgetDomains(domain),
      emit: (event) => this.#listeners.emit(event),
    }
    this.#changing = new ConcurrencyLimit(parts.onboardingConcurrency)
    this.#stop = stop
    this.#keeper = new Keeper(this.#making, parts.spares)
    if (parts.mode === 'full') this.#keeper.start()
    if (parts.mode === 'full' && parts.hasLeftBehind) this.#tidyUp()
  }

  get startUp(): StartUp {
    return this.#parts.startUp
  }

  async onboard(id: string, options: OnboardOptions = {}): Promise<Onboarded> {
    try {
      return await this.#change('onboard', options, (checked) => onboard(this.#making, id, checked))
    } finally {
      // Also a call that failed may have used a spare.
      this.#keeper.poke()
    }
  }

  /** Drops templates and spares. This process would make its own again at once, so it keeps none from then on. */
  async removeTemplates(options: Cancellable = {}): Promise<RemovedTemplates> {
    return this.#change('removeTemplates', options, async (checked) => {
      await this.#keeper.stop(longestMs)
      return removeTemplates(this.#making, checked)
    })
  }

  update(id: string, options: UpdateOptions): Promise<Updated> {
    return this.#change('update', options, (checked) => update(this.#making, id, checked))
  }

  suspend(id: string, options: DrainOptions = {}): Promise<Suspended> {
    return this.#change('suspend', options, (checked) => suspend(this.#making, id, checked))
  }

  resume(id: string, options: VerbOptions = {}): Promise<Resumed> {
    return this.#change('resume', options, (checked) => resume(this.#making, id, checked))
  }

  offboard(id: string, options: OffboardOptions = {}): Promise<Offboarded> {
    return this.#change('offboard', options, (checked) => offboard(this.#making, id, checked))
  }

  restore(id: string, options: VerbOptions = {}): Promise<Restored> {
    return this.#change('restore', options, (checked) => restore(this.#making, id, checked))
  }

  purge(id: string, options: VerbOptions = {}): Promise<Purged> {
    return this.#notify('purge', options, (checked) => purge(this.#making, id, checked))
  }

  purgeExpired(options: PurgeExpiredOptions = {}): Promise<PurgedExpired> {
    return this.#change('purgeExpired', options, (checked) => purgeExpired(this.#making, checked))
  }

  clone(source: string, id: string, options: CloneOptions<Handle> = {}): Promise<Cloned> {
    return this.#change('clone', options, (checked) => {
      const { anonymise } = checked
      return clone(this.#making, source, id, {
        ...checked,
        ...(anonymise && { anonymise: this.#inContext(anonymise) }),
      })
    })
  }

  adopt(id: string, options: AdoptOptions): Promise<Adopted> {
    return this.#change('adopt', options, (checked) => adopt(this.#making, id, checked))
  }

  restamp(id: string, options: RestampOptions = {}): Promise<Restamped> {
    return this.#change('restamp', options, (checked) => restamp(this.#making, id, checked))
  }

  async reconcile(options: ReconcileOptions = {}): Promise<Reconciliation> {
    const read = this.#read('reconcile', options)
    if (read.dryRun !== true) return this.#change('reconcile', read, (checked) => reconcile(this.#making, checked))
    return this.#underWay.run((signal) => reconcile(this.#making, { ...read, signal }), read.signal)
  }

  async check(id: string, options: CheckOptions = {}): Promise<CheckedTenant> {
    return checkTenant(this.#making, id, this.#read('check', options), this.#parts.mode === 'full')
  }

  async get(id: string, options: Cancellable = {}): Promise<Tenant | undefined> {
    const { signal } = this.#read('get', options)
    const row = await untilAborted(this.#making.catalog.find(parseTenantId(id)), signal)
    return row && publicTenant(row)
  }

  async list(options: ListOptions = {}): Promise<readonly Tenant[]> {
    this.#refuseClosed()
    const { filter, limit, after, signal } = readListOptions(options)
    const rows = await untilAborted(this.#making.catalog.list(filter, limit, after), signal)
    return rows.map(publicTenant)
  }

  async history(id: string, options: HistoryOptions = {}): Promise<readonly AuditEntry[]> {
    const { limit = 100, signal } = this.#read('history', options)
    return untilAborted(this.#making.catalog.history(parseTenantId(id), Math.min(limit, 1_000)), signal)
  }

  async status(options: Cancellable = {}): Promise<Status> {
    return statusOf(this.#making, this.#parts.roles, this.#keeper.wanted, this.#read('status', options))
  }

  async environment(id: string, options: EnvironmentOptions = {}): Promise<Readonly<Record<string, string>>> {
    return environmentOf(this.#making, id, this.#read('environment', options))
  }

  async credentials(id: string, options: Cancellable = {}): Promise<TenantCredentials> {
    return credentialsOf(this.#making, id, this.#read('credentials', options))
  }

  rotateCredentials(id: string, options: RotateOptions = {}): Promise<RotatedCredentials> {
    return this.#change('rotateCredentials', options, (checked) => rotateCredentials(this.#making, id, checked))
  }

  reencryptCredentials(options: VerbOptions = {}): Promise<ReencryptedCredentials> {
    return this.#change('reencryptCredentials', options, (checked) => reencryptCredentials(this.#making, checked))
  }

  addDomain(id: string, domain: string, options: VerbOptions = {}): Promise<AddedDomain> {
    return this.#notify('addDomain', options, (checked) => addDomain(this.#making, id, domain, checked))
  }

  verifyDomain(id: string, domain: string, options: VerifyDomainOptions = {}): Promise<VerifiedDomain> {
    const verb = (checked: VerifyDomainOptions) => verifyDomain(this.#making, id, domain, checked)
    return this.#notify('verifyDomain', options, verb, this.#verifying)
  }

  removeDomain(id: string, domain: string, options: VerbOptions = {}): Promise<RemovedDomain> {
    return this.#notify('removeDomain', options, (checked) => removeDomain(this.#making, id, domain, checked))
  }

  async domains(id: string, options: DomainsOptions = {}): Promise<readonly TenantDomain[]> {
    return domainsOf(this.#making, id, this.#read('domains', options))
  }

  async getDomain(domain: string, options: Cancellable = {}): Promise<TenantDomain | undefined> {
    return domainNamed(this.#making, domain, this.#read('getDomain', options))
  }

  async tenantOfDomain(domain: string, options: Cancellable = {}): Promise<CapturedTenant | undefined> {
    const { signal } = this.#read('tenantOfDomain', options)
    return untilAborted(this.#work.tenantOfDomain(domain), signal)
  }

  on(listener: (event: TenantryEvent) => void): () => void {
    functionOption('listener', listener)
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

  async close(deadlineMs = 10_000): Promise<void> {
    const limitMs = deadline('deadlineMs', deadlineMs)
    this.#closing ??= this.#close(limitMs)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<void> {
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
    await this.#underWay.end(workMs, new Error('Tenantry was closed.'))
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
    const tidy = (signal: AbortSignal) =>
      this.#changing.run(() => reconcileLeftBehind(this.#making, { signal }), signal)
    void this.#underWay.run(tidy, undefined).catch((error: unknown) => {
      // Closed before its turn came: the next process that opens does it.
      if (!(error instanceof TenantryError)) throw error
    })
  }

  /** Runs a verb in its turn; the caller's signal or `close` ends it. */
  async #change<Options extends Cancellable, T>(
    call: Call,
    options: Options,
    verb: (checked: Options) => Promise<T>,
    turns = this.#changing,
  ): Promise<T> {
    const read = this.#read(call, options)
    if (this.#parts.mode === 'router') throw routerError()
    return this.#underWay.run((signal) => turns.run(() => verb({ ...read, signal }), signal), read.signal)
  }

  #read<Options extends object>(call: Call, options: Options): Options {
    this.#refuseClosed()
    return readCallOptions(call, options)
  }

  /** Runs a verb whose commit notifies other processes. */
  #notify<Options extends Cancellable, T>(
    call: Call,
    options: Options,
    verb: (checked: Options) => Promise<T>,
    turns = this.#changing,
  ): Promise<T> {
    return this.#change(call, options, (checked) => despiteFullQueue(this.#parts, checked, () => verb(checked)), turns)
  }

  /** Runs a hook of the service in the context of the tenant that is being made, in any context of the call. */
  #inContext<Hook extends TenantHook<Handle> | undefined>(hook: Hook): Hook {
    const inside: TenantHook<Handle> = (handle, tenant) => this.#work.runFor(tenant.id, () => hook?.(handle, tenant))
    return (hook && inside) as Hook
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw closedError()
  }
}
