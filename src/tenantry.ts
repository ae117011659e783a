import { type Cancellable, throwIfAborted, untilAborted } from './kernel/abort.ts'
import { ConcurrencyLimit } from './kernel/concurrency.ts'
import { TenantryError } from './kernel/errors.ts'
import { Listeners } from './kernel/listeners.ts'
import { parseTenantId, physicalNames, type TenantId } from './kernel/names.ts'
import { positiveInteger, refuseUnknownOptions, requireOptions } from './kernel/options.ts'
import { WorkUnderWay } from './kernel/work-under-way.ts'
import type { AuditEntry } from './catalog/audit.ts'
import { Catalog } from './catalog/catalog.ts'
import { countByServer } from './catalog/fleet.ts'
import { checkListOptions, type ListOptions } from './catalog/list-options.ts'
import type { TenantFilter } from './catalog/listing.ts'
import { Domains } from './catalog/domains.ts'
import type { Status } from './catalog/status.ts'
import { Stock } from './catalog/stock.ts'
import { publicTenant, type Tenant, type TenantRow } from './catalog/tenant.ts'
import { versionNumber } from './catalog/version-number.ts'
import type { EnvironmentOptions, HistoryOptions, Tenantry } from './api.ts'
import { checkConfig, type CheckedConfig, findServers, isServerGiven, type TenantryConfig } from './config.ts'
import { Activity } from './provisioning/activity.ts'
import { adopt, type Adopted, type AdoptOptions } from './provisioning/adopt.ts'
import { type CheckedTenant, checkTenant } from './provisioning/check-tenant.ts'
import { clone, type Cloned, type CloneOptions } from './provisioning/clone.ts'
import {
  credentialsOf,
  environmentOf,
  type ReencryptedCredentials,
  reencryptCredentials,
  type RotatedCredentials,
  rotateCredentials,
  type RotateOptions,
  type TenantCredentials,
} from './provisioning/credentials.ts'
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
} from './provisioning/domains.ts'
import { Keeper } from './provisioning/keeper.ts'
import { offboard, type Offboarded, type OffboardOptions, restore, type Restored } from './provisioning/offboard.ts'
import { onboard, type Onboarded } from './provisioning/onboard.ts'
import { purge, type Purged, type PurgedExpired, purgeExpired, type PurgeExpiredOptions } from './provisioning/purge.ts'
import { reconcile, reconcileLeftBehind, type Reconciliation, type ReconcileOptions } from './provisioning/reconcile.ts'
import { type RemovedTemplates, removeTemplates } from './provisioning/retire.ts'
import { loginOf } from './provisioning/separation.ts'
import { statusOf } from './provisioning/status.ts'
import { resume, type Resumed, suspend, type Suspended } from './provisioning/suspend.ts'
import type { StartUp } from './provisioning/survey.ts'
import type { OnboardOptions } from './provisioning/tenant-options.ts'
import { update, type Updated, type UpdateOptions } from './provisioning/update.ts'
import { keySource, type Opening, prepare, routerError, sessionPools } from './opening.ts'
import { closedError } from './routing/closed-error.ts'
import type { FleetResult, ForEachOptions } from './routing/for-each.ts'
import type { LongLease } from './routing/long-leases.ts'
import { refuseBehind } from './routing/refuse-behind.ts'
import type { CapturedTenant } from './routing/tenant-context.ts'
import { TenantWork, type WorkOptions } from './routing/tenant-work.ts'
import type { ConnectionPool, Server, SessionPool } from './server/port.ts'

/**
 * Opens Tenantry: makes sure that the catalog exists and is up to date, and that servers and models are known to it. With
 * `mode: 'router'` it only looks, with `createCatalog: false` the catalog must exist. Any number of processes may do this at once.
 *
 * @throws `invalid-option`, `models-invalid`, `embedded-in-production`, `embedded-unavailable`, `catalog-missing`,
 *   `catalog-newer`, `catalog-older`, `credentials-key-missing`, `credentials-unreadable`, `permission-denied` and what may be wrong with a connection
 */
export async function openTenantry<Handle>(config: TenantryConfig<Handle>): Promise<Tenantry<Handle>> {
  const checked = checkConfig(config)
  throwIfAborted(config.signal)
  // Nothing is started for models that cannot be used.
  if (!isServerGiven(config)) await checked.models.fingerprint()
  const { servers, stop } = await findServers(config, { create: checked.createCatalog })
  const [home] = servers
  try {
    const opening = await prepare(servers, checked, keySource(config, checked, servers), config.signal)
    const byName = new Map(servers.map((server) => [server.name, server]))
    return new OpenTenantry({ ...checked, ...opening, home, servers: byName }, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

const catalogConnections = 3
const kept = { keptTenants: 10_000, keptHandles: 1_000, keptDomains: { known: 10_000, unknown: 1_000 } }
/** How many domains are looked up in the DNS at once. */
const domainLookups = 4
/** What Node's timers can hold. */
const longestMs = 2 ** 31 - 1

type Parts<Handle> = CheckedConfig<Handle> & Opening & Pick<MakingContext<Handle>, 'home' | 'servers'>

class OpenTenantry<Handle> implements Tenantry<Handle> {
  readonly #parts: Parts<Handle>
  readonly #making: MakingContext<Handle>
  readonly #work: TenantWork<Handle>
  readonly #listeners = new Listeners<TenantryEvent>()
  readonly #changing: ConcurrencyLimit
  /** Apart from it, since the DNS may be slow. */
  readonly #verifying = new ConcurrencyLimit(domainLookups)
  readonly #underWay = new WorkUnderWay()
  readonly #keeper: Keeper<Handle>
  readonly #catalogPool: ConnectionPool
  /** Sessions for administration, by server: as many as there may be verbs at work. */
  readonly #sessions: ReadonlyMap<Server, SessionPool>
  readonly #stop: () => Promise<void>
  #closing: Promise<void> | undefined

  /** @param stop ends what was started for this Tenantry */
  constructor(parts: Parts<Handle>, stop: () => Promise<void>) {
    const { home, servers, connectionWaitMs, installation, onboardingConcurrency, whenBehind } = parts
    const catalogDatabase = physicalNames.catalog(installation)
    // A claim waits for another one of the same id; at a stricter level it would fail.
    this.#catalogPool = home.pool(catalogDatabase, catalogConnections, { isolationLevel: 'read committed' })
    this.#sessions = sessionPools([...servers.values()], home, catalogDatabase, onboardingConcurrency)
    const catalog = new Catalog(this.#catalogPool)
    const domains = new Domains(this.#catalogPool)
    const routing = {
      ...parts,
      catalog,
      domains,
      catalogDatabase,
      loginOf: (row: TenantRow, which: 'current' | 'pending') => loginOf(parts, row, which),
      catalogConnections,
      onLongLease: (lease: LongLease) => this.#listeners.tell({ event: 'lease-held', ...lease }),
      waitMs: connectionWaitMs,
      ...kept,
      countFleet: (filter: TenantFilter) => countByServer(this.#catalogPool, filter),
      condition:
        whenBehind === 'refuse'
          ? refuseBehind(parts.fingerprint, (fingerprint) => versionNumber(this.#catalogPool, fingerprint))
          : undefined,
    }
    this.#parts = parts
    this.#work = new TenantWork(routing)
    this.#making = {
      ...parts,
      catalog,
      domains,
      stock: new Stock(this.#catalogPool),
      knownTemplates: new Map(),
      onboarding: new Activity(),
      connect: (server, options) => (this.#sessions.get(server) as SessionPool).connect(options),
      initialise: this.#inContext(parts.initialise),
      anonymise: this.#inContext(parts.anonymise),
      evict: (eviction, limitMs, options) => this.#work.evict(eviction, limitMs, options),
      forgetDomains: (domain) => this.#work.forgetDomains(domain),
      emit: (event) => this.#listeners.tell(event),
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
      return await this.#change(options, (checked) => onboard(this.#making, id, checked))
    } finally {
      // Also a call that failed may have used a spare.
      this.#keeper.poke()
    }
  }

  /** What this process itself keeps ready would be made anew at once: it keeps nothing from then on. */
  async removeTemplates(options: Cancellable = {}): Promise<RemovedTemplates> {
    return this.#change(options, async (checked) => {
      await this.#keeper.stop(longestMs)
      return removeTemplates(this.#making, checked)
    })
  }

  update(id: string, options: UpdateOptions): Promise<Updated> {
    return this.#change(options, (checked) => update(this.#making, id, checked))
  }

  suspend(id: string, options: DrainOptions = {}): Promise<Suspended> {
    return this.#change(options, (checked) => suspend(this.#making, id, checked))
  }

  resume(id: string, options: VerbOptions = {}): Promise<Resumed> {
    return this.#change(options, (checked) => resume(this.#making, id, checked))
  }

  offboard(id: string, options: OffboardOptions = {}): Promise<Offboarded> {
    return this.#change(options, (checked) => offboard(this.#making, id, checked))
  }

  restore(id: string, options: VerbOptions = {}): Promise<Restored> {
    return this.#change(options, (checked) => restore(this.#making, id, checked))
  }

  purge(id: string, options: VerbOptions = {}): Promise<Purged> {
    return this.#change(options, (checked) => purge(this.#making, id, checked))
  }

  purgeExpired(options: PurgeExpiredOptions = {}): Promise<PurgedExpired> {
    return this.#change(options, (checked) => purgeExpired(this.#making, checked))
  }

  clone(source: string, id: string, options: CloneOptions<Handle> = {}): Promise<Cloned> {
    return this.#change(options, (checked) => {
      const { anonymise } = checked
      return clone(this.#making, source, id, {
        ...checked,
        ...(anonymise && { anonymise: this.#inContext(anonymise) }),
      })
    })
  }

  adopt(id: string, options: AdoptOptions): Promise<Adopted> {
    return this.#change(options, (checked) => adopt(this.#making, id, checked))
  }

  async reconcile(options: ReconcileOptions = {}): Promise<Reconciliation> {
    requireOptions(options)
    if (options.dryRun === true) {
      this.#refuseClosed()
      return this.#underWay.run((signal) => reconcile(this.#making, { ...options, signal }), options.signal)
    }
    return this.#change(options, (checked) => reconcile(this.#making, checked))
  }

  async check(id: string, options: Cancellable = {}): Promise<CheckedTenant> {
    this.#refuseClosed()
    return checkTenant(this.#making, id, options)
  }

  async get(id: string, { signal }: Cancellable = {}): Promise<Tenant | undefined> {
    this.#refuseClosed()
    const row = await untilAborted(this.#making.catalog.find(parseTenantId(id)), signal)
    return row && publicTenant(row)
  }

  async list(options: ListOptions = {}): Promise<readonly Tenant[]> {
    this.#refuseClosed()
    const { filter, limit, after } = checkListOptions(options)
    const rows = await untilAborted(this.#making.catalog.list(filter, limit, after), options.signal)
    return rows.map(publicTenant)
  }

  async history(id: string, options: HistoryOptions = {}): Promise<readonly AuditEntry[]> {
    this.#refuseClosed()
    refuseUnknownOptions('history', options, ['limit', 'signal'])
    const limit = Math.min(positiveInteger('limit', options.limit ?? 100), 1_000)
    return untilAborted(this.#making.catalog.history(parseTenantId(id), limit), options.signal)
  }

  async status(options: Cancellable = {}): Promise<Status> {
    this.#refuseClosed()
    return statusOf(this.#making, this.#parts.roles, this.#keeper.wanted, options)
  }

  async environment(id: string, options: EnvironmentOptions = {}): Promise<Readonly<Record<string, string>>> {
    this.#refuseClosed()
    return environmentOf(this.#making, id, options)
  }

  async credentials(id: string, options: Cancellable = {}): Promise<TenantCredentials> {
    this.#refuseClosed()
    return credentialsOf(this.#making, id, options)
  }

  rotateCredentials(id: string, options: RotateOptions = {}): Promise<RotatedCredentials> {
    return this.#change(options, (checked) => rotateCredentials(this.#making, id, checked))
  }

  reencryptCredentials(options: VerbOptions = {}): Promise<ReencryptedCredentials> {
    return this.#change(options, (checked) => reencryptCredentials(this.#making, checked))
  }

  addDomain(id: string, domain: string, options: VerbOptions = {}): Promise<AddedDomain> {
    return this.#change(options, (checked) => addDomain(this.#making, id, domain, checked))
  }

  verifyDomain(id: string, domain: string, options: VerifyDomainOptions = {}): Promise<VerifiedDomain> {
    return this.#change(options, (checked) => verifyDomain(this.#making, id, domain, checked), this.#verifying)
  }

  removeDomain(id: string, domain: string, options: VerbOptions = {}): Promise<RemovedDomain> {
    return this.#change(options, (checked) => removeDomain(this.#making, id, domain, checked))
  }

  async domains(id: string, options: DomainsOptions = {}): Promise<readonly TenantDomain[]> {
    this.#refuseClosed()
    return domainsOf(this.#making, id, options)
  }

  async getDomain(domain: string, options: Cancellable = {}): Promise<TenantDomain | undefined> {
    this.#refuseClosed()
    return domainNamed(this.#making, domain, options)
  }

  async tenantOfDomain(domain: string, { signal }: Cancellable = {}): Promise<TenantId | undefined> {
    this.#refuseClosed()
    return untilAborted(this.#work.tenantOfDomain(domain), signal)
  }

  on(listener: (event: TenantryEvent) => void): () => void {
    return this.#listeners.add(listener)
  }

  async with<T>(
    id: string | CapturedTenant,
    work: (handle: Handle) => T | Promise<T>,
    options: WorkOptions = {},
  ): Promise<T> {
    return this.#work.with(id, work, options)
  }

  async run<T>(id: string | CapturedTenant, work: () => T | Promise<T>, options: WorkOptions = {}): Promise<T> {
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

  close(deadlineMs = 10_000): Promise<void> {
    this.#closing ??= this.#close(Math.min(deadlineMs, longestMs))
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#work.refuseNew()
    const end = Date.now() + deadlineMs
    const keeping = this.#keeper.stop(deadlineMs)
    // What is being changed may still have to tell the others, so the router goes last.
    await this.#underWay.end(deadlineMs, new Error('Tenantry was closed.'))
    await keeping
    await this.#work.close(Math.max(0, end - Date.now()))
    try {
      await Promise.all([this.#catalogPool, ...this.#sessions.values()].map((pool) => pool.end()))
      await this.#parts.disconnected
    } finally {
      await this.#stop()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Takes care of what was interrupted long ago, beside all else. What goes wrong is for the next who looks. */
  #tidyUp(): void {
    void this.#change({}, (checked) => reconcileLeftBehind(this.#making, checked)).catch((error: unknown) => {
      // Closed before its turn came: the next process that opens does it.
      if (!(error instanceof TenantryError)) throw error
    })
  }

  /** Runs a verb: in its turn, ended by the caller's signal or by `close`. */
  async #change<Options extends Cancellable, T>(
    options: Options,
    verb: (checked: Options) => Promise<T>,
    turns = this.#changing,
  ): Promise<T> {
    this.#refuseClosed()
    requireOptions(options)
    if (this.#parts.mode === 'router') throw routerError()
    return this.#underWay.run((signal) => turns.run(() => verb({ ...options, signal }), signal), options.signal)
  }

  /** A step of the service's own runs for the tenant that is being made, whatever the context of the call. */
  #inContext<Hook extends TenantHook<Handle> | undefined>(hook: Hook): Hook {
    const inside: TenantHook<Handle> = (handle, tenant) => this.#work.runFor(tenant.id, () => hook?.(handle, tenant))
    return (hook && inside) as Hook
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw closedError()
  }
}
