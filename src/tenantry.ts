import { abortedError, type Cancellable, isAbortion, throwIfAborted, untilAborted } from './kernel/abort.ts'
import { ConcurrencyLimit } from './kernel/concurrency.ts'
import { parseTenantId, physicalNames, type TenantId } from './kernel/names.ts'
import { positiveInteger, refuseUnknownOptions } from './kernel/options.ts'
import { Catalog, publicTenant, type Tenant } from './catalog/catalog.ts'
import { migrateCatalog } from './catalog/migrate.ts'
import { checkConfig, type CheckedConfig, findServers, type TenantryConfig } from './config.ts'
import { ensureDatabaseOn } from './provisioning/ensure-database.ts'
import { onboard, type Onboarded, type OnboardingContext } from './provisioning/onboard.ts'
import type { OnboardOptions } from './provisioning/onboard-options.ts'
import { Router } from './routing/router.ts'
import { closedError } from './routing/server-budget.ts'
import { TenantContext } from './routing/tenant-context.ts'
import type { Server } from './server/port.ts'

/** Which tenants to list. */
export interface ListOptions extends Cancellable {
  /** How many at most. Default 100, at most 1,000. */
  readonly limit?: number
  /** Only those after this id: the last one of the page before. */
  readonly after?: string
}

/** An open Tenantry. Close it when the service stops. */
export interface Tenantry<Handle> extends AsyncDisposable {
  /**
   * Makes a tenant with a database of its own. An id that exists already is an outcome, not an error.
   *
   * @throws `invalid-tenant-id`, `invalid-option`, `no-open-server`, `tenant-not-active`, `foreign-database`,
   *   `verification-failed`, `lock-timeout`, `permission-denied` and what may be wrong with a connection
   */
  onboard(id: string, options?: OnboardOptions): Promise<Onboarded>
  /** A tenant as the catalog knows it; undefined where there is none. @throws `invalid-tenant-id` */
  get(id: string, options?: Cancellable): Promise<Tenant | undefined>
  /** Tenants in the order of their ids. */
  list(options?: ListOptions): Promise<readonly Tenant[]>
  /**
   * Runs `work` with the ORM's own handle on the tenant's database, in the tenant's context. The handle is a new unit
   * of work; it holds no connection but while a query or a transaction runs.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `tenant-conflict`, and what `work` throws
   */
  with<T>(id: string, work: (handle: Handle) => T | Promise<T>, options?: Cancellable): Promise<T>
  /** Runs `work` in the tenant's context. @throws `tenant-unknown`, `tenant-not-active`, `tenant-conflict` */
  run<T>(id: string, work: () => T | Promise<T>, options?: Cancellable): Promise<T>
  /** The tenant in whose context this is called. @throws `no-tenant` outside of one */
  currentTenant(): TenantId
  /** Lets work under way finish, at most `deadlineMs` milliseconds (default 10,000), and closes every connection. */
  close(deadlineMs?: number): Promise<void>
}

/**
 * Opens Tenantry: makes sure that the catalog exists and is up to date, and that servers and models are known to it.
 * Any number of processes may do this at once.
 *
 * @throws `invalid-option`, `models-invalid`, `embedded-in-production`, `embedded-unavailable`, `catalog-newer`,
 *   `permission-denied` and what may be wrong with a connection
 */
export async function openTenantry<Handle>(config: TenantryConfig<Handle>): Promise<Tenantry<Handle>> {
  const checked = checkConfig(config)
  throwIfAborted(config.signal)
  const fingerprint = await checked.models.fingerprint()
  const { servers, stop } = await findServers(config)
  const [home] = servers
  const pool = home.pool(physicalNames.catalog(checked.installation), catalogConnections)
  const release = async () => {
    try {
      await pool.end()
    } finally {
      await stop()
    }
  }
  try {
    await prepareCatalog(home, checked, config.signal)
    const catalog = new Catalog(pool)
    const byName = new Map(servers.map((server) => [server.name, server]))
    await untilAborted(catalog.register([...byName.keys()], fingerprint), config.signal)
    const installationId = await untilAborted(catalog.installationId(), config.signal)
    return new OpenTenantry({ ...checked, installationId, catalog, home, servers: byName, fingerprint }, release)
  } catch (error) {
    await release()
    throw error
  }
}

const catalogConnections = 3
const keptTenants = 10_000

/** Makes sure that the catalog's database and tables exist. */
async function prepareCatalog(
  home: Server,
  { installation, lockTimeoutMs }: CheckedConfig<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const database = physicalNames.catalog(installation)
  await ensureDatabaseOn(home, database, { signal })
  const session = await home.connect(database, { signal })
  try {
    await migrateCatalog(session, installation, lockTimeoutMs)
  } finally {
    await session.close()
  }
}

type Parts<Handle> = OnboardingContext & CheckedConfig<Handle>

class OpenTenantry<Handle> implements Tenantry<Handle> {
  readonly #parts: Parts<Handle>
  readonly #router: Router<Handle>
  readonly #context = new TenantContext()
  readonly #onboarding: ConcurrencyLimit
  readonly #underWay = new Set<Promise<unknown>>()
  /** Ends, at the deadline of `close`, what is still being onboarded. */
  readonly #ending = new AbortController()
  readonly #release: () => Promise<void>
  #closing: Promise<void> | undefined

  constructor(parts: Parts<Handle>, release: () => Promise<void>) {
    const { catalog, servers, models, connectionWaitMs } = parts
    this.#parts = parts
    this.#router = new Router({ catalog, servers, models, waitMs: connectionWaitMs, keptTenants })
    this.#onboarding = new ConcurrencyLimit(parts.onboardingConcurrency)
    this.#release = release
  }

  async onboard(id: string, options: OnboardOptions = {}): Promise<Onboarded> {
    this.#refuseClosed()
    const signal = AbortSignal.any([this.#ending.signal, ...(options.signal === undefined ? [] : [options.signal])])
    const onboarding = this.#onboarding.run(() => onboard(this.#parts, id, { ...options, signal }), signal)
    this.#underWay.add(onboarding)
    try {
      return await onboarding
    } finally {
      this.#underWay.delete(onboarding)
    }
  }

  async get(id: string, { signal }: Cancellable = {}): Promise<Tenant | undefined> {
    this.#refuseClosed()
    const row = await untilAborted(this.#parts.catalog.find(parseTenantId(id)), signal)
    return row && publicTenant(row)
  }

  async list(options: ListOptions = {}): Promise<readonly Tenant[]> {
    this.#refuseClosed()
    refuseUnknownOptions('list', options, ['limit', 'after', 'signal'])
    const limit = positiveInteger('limit', options.limit ?? 100)
    const after = options.after === undefined ? undefined : parseTenantId(options.after)
    const rows = await untilAborted(this.#parts.catalog.list(Math.min(limit, 1_000), after), options.signal)
    return rows.map(publicTenant)
  }

  async with<T>(id: string, work: (handle: Handle) => T | Promise<T>, { signal }: Cancellable = {}): Promise<T> {
    const { tenant, models } = await this.#route(id, signal)
    const handle = models.handle(signal)
    try {
      return await this.#context.run(tenant, () => work(handle))
    } catch (error) {
      throw isAbortion(error, signal) ? abortedError(signal as AbortSignal) : error
    } finally {
      await models.finish(handle)
    }
  }

  async run<T>(id: string, work: () => T | Promise<T>, { signal }: Cancellable = {}): Promise<T> {
    const { tenant } = await this.#route(id, signal)
    return this.#context.run(tenant, work)
  }

  currentTenant(): TenantId {
    return this.#context.current()
  }

  close(deadlineMs = 10_000): Promise<void> {
    this.#closing ??= this.#close(deadlineMs)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<void> {
    const deadline = setTimeout(() => this.#ending.abort(new Error('Tenantry was closed.')), deadlineMs)
    await Promise.all([this.#router.close(deadlineMs), Promise.allSettled(this.#underWay)])
    clearTimeout(deadline)
    await this.#release()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #route(id: string, signal: AbortSignal | undefined) {
    this.#refuseClosed()
    const tenant = parseTenantId(id)
    return { tenant, models: await untilAborted(this.#router.route(tenant), signal) }
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw closedError()
  }
}
