import { sha256 } from '../kernel/hash.ts'
import { type Cancellable, isAbortion } from '../kernel/abort.ts'
import { type DomainName, readDomain } from '../kernel/domain-names.ts'
import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, type Installation, physicalNames, type TenantId } from '../kernel/names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Domains } from '../catalog/domains.ts'
import type { Tenant, TenantRow } from '../catalog/tenant.ts'
import type { HandleFactory } from '../models/port.ts'
import type { Server, SessionDefaults } from '../server/port.ts'
import { requireServer } from '../server/require-server.ts'
import { type Admission, Admissions } from './admissions.ts'
import { BudgetShare } from './budget-share.ts'
import { type DirectorySize, DomainDirectory } from './domain-directory.ts'
import { type Eviction, EvictionChannel } from './eviction-channel.ts'
import { FleetShare } from './fleet-share.ts'
import type { Fleet, TenantLimits } from './for-each.ts'
import { LeaseRecovery } from './lease-recovery.ts'
import type { LeaseSource } from './lease.ts'
import { LeaseWatch, type LongLease } from './long-leases.ts'
import { readOccupancy } from './occupancy.ts'
import { OpenHandles } from './open-handles.ts'
import { ProcessChannel } from './process-channel.ts'
import { ServerBudget } from './server-budget.ts'
import type { Condition } from './refuse-behind.ts'
import type { CapturedTenant, WorkScope } from './tenant-context.ts'
import { TenantPool } from './tenant-pool.ts'

/** Options of routing. */
export interface RoutingOptions<Handle> {
  readonly catalog: Catalog
  readonly domains: Domains
  /** The server that the catalog is on, and its database. */
  readonly home: Server
  readonly catalogDatabase: Identifier
  readonly servers: ReadonlyMap<string, Server>
  readonly handles: HandleFactory<Handle>
  readonly loginOf: LeaseSource['loginOf']
  /** The id that marks this installation's sessions on every server. */
  readonly installationId: string
  /** The installation, from which the names of its roles are made. */
  readonly installation: Installation
  /** The number of connections that each process has to the catalog, besides tenants' work. */
  readonly catalogConnections: number
  /** The longest wait for a connection while all are busy, in milliseconds. */
  readonly waitMs: number
  /** The defaults of tenants' sessions. */
  readonly session: SessionDefaults
  /** The part of a server's connections that one tenant may have. */
  readonly tenantShare: number
  /** Resets a connection in full when it is released. */
  readonly reset: boolean
  /** The age at which a lease is reported, in milliseconds; 0 for never. */
  readonly leaseWarningMs: number
  /** Records a stack trace for every lease. */
  readonly traceLeases: boolean
  /** The time without a byte after which the connection of a statement is examined, in milliseconds; 0 for never. */
  readonly checkMs: number
  readonly countFleet: Fleet<unknown>['count']
  /** The work that the running code is part of. */
  readonly scope: () => WorkScope | undefined
  readonly onLongLease: (lease: LongLease) => void
  /** The number of tenants remembered; beyond it the least recently used is looked up again when it is needed. */
  readonly keptTenants: number
  /** The number of domains remembered. */
  readonly keptDomains: DirectorySize
  /**
   * The number of tenants whose handles are kept open; beyond it the least recently used are closed, and opened again
   * when they are needed.
   */
  readonly keptHandles: number
  /** A condition on tenants besides being in service. */
  readonly condition?: Condition | undefined
}

interface Opened<Handle> {
  readonly rowId: string
  readonly route: Promise<Route<Handle>>
  /** Set once it is open. */
  opened?: Route<Handle>
}

/** The context to enter, and the handles to work with there. */
export interface Route<Handle> {
  readonly entered: CapturedTenant
  readonly handles: OpenHandles<Handle>
}

/** Drops handles, if they were ever open. */
async function dropOpened<Handle>({ route }: Opened<Handle>): Promise<void> {
  const opened = await route.catch(() => undefined)
  await opened?.handles.drop()
}

/** Works on one tenant of a fleet query. */
export type OnTenant<T> = (captured: CapturedTenant, tenant: Tenant, limits: TenantLimits) => Promise<T>

/** The time for closing messages, in milliseconds: the network may have failed silently. */
const closingMs = 500

/** Routes a tenant's id to the handles on its database. */
export class Router<Handle> {
  readonly #options: RoutingOptions<Handle>
  readonly #channel: ProcessChannel
  readonly #shares: readonly BudgetShare[]
  /** By the server's name. */
  readonly #budgets: ReadonlyMap<string, ServerBudget>
  readonly #evictions: EvictionChannel
  /** The shares of fleet queries, by the server's name. */
  readonly #fleetShares: ReadonlyMap<string, FleetShare>
  readonly #admissions: Admissions
  readonly #domains: DomainDirectory
  readonly #watch: LeaseWatch
  readonly #recovery: LeaseRecovery
  readonly #opened: RecentlyUsed<TenantId, Opened<Handle>>

  constructor(options: RoutingOptions<Handle>) {
    const { home, servers, catalog, keptTenants, condition, waitMs } = options
    this.#options = options
    this.#opened = new RecentlyUsed(options.keptHandles, (opened) => void dropOpened(opened))
    this.#channel = new ProcessChannel(home, options.catalogDatabase)
    this.#channel.subscribe({ onMessage: (message) => this.#onMessage(message), onLost: () => this.#forgetAll() })
    this.#evictions = new EvictionChannel(this.#channel, (eviction) => this.#onEvict(eviction))
    this.#admissions = new Admissions(catalog, this.#channel, keptTenants, condition)
    this.#domains = new DomainDirectory(
      (domains) => options.domains.routes(domains),
      () => this.#channel.start(),
      options.keptDomains,
    )
    const divided = [...servers].map(([name, server]) => ({ name, server, share: this.#shareOf(server) }))
    this.#shares = divided.map(({ share }) => share)
    this.#budgets = new Map(
      divided.map(({ name, server, share }) => [name, new ServerBudget({ ...options, server }, share)]),
    )
    this.#fleetShares = new Map(
      [...this.#budgets].map(([name, budget]) => [name, new FleetShare(() => budget.capacity, waitMs)]),
    )
    this.#recovery = new LeaseRecovery([...this.#budgets.values()], options.checkMs)
    this.#watch = new LeaseWatch([...this.#budgets.values()], {
      afterMs: options.leaseWarningMs,
      isTraced: options.traceLeases,
      report: options.onLongLease,
    })
  }

  /** True if a stack trace is to be recorded where work begins. */
  get traces(): boolean {
    return this.#watch.traces
  }

  /**
   * Makes sure that a tenant may be worked on, and returns it with its row. @throws `tenant-unknown`,
   * `tenant-not-active`, `tenant-behind`
   */
  async admit(captured: CapturedTenant): Promise<CapturedTenant> {
    const { row } = await this.#admit(captured)
    return { tenant: row.id, row: row.rowId }
  }

  /** Returns the same as {@link route}, without waiting, if no query is needed: the usual case in a service. */
  known({ tenant, row }: CapturedTenant): Route<Handle> | undefined {
    const rowId = this.#admissions.known(tenant)?.row.rowId
    if (rowId === undefined || (row !== undefined && row !== rowId)) return undefined
    const kept = this.#opened.get(tenant)
    return kept?.rowId === rowId ? kept.opened : undefined
  }

  /**
   * Returns the handles of a tenant, opened once and kept.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `tenant-behind`, `server-unknown`
   */
  async route(captured: CapturedTenant): Promise<Route<Handle>> {
    const { row } = await this.#admit(captured)
    const known = this.#opened.get(row.id)
    const kept = known?.rowId === row.rowId ? known : this.#keepOpened(row)
    try {
      return (kept.opened = await kept.route)
    } catch (error) {
      // A failed opening is repeated for the next caller.
      if (this.#opened.peek(row.id) === kept) this.#opened.delete(row.id)
      throw error
    }
  }

  /** Returns the operations of a fleet query. @param onTenant works on one of its tenants */
  fleet<T>(onTenant: OnTenant<T>): Fleet<T> {
    return {
      count: this.#options.countFleet,
      list: (filter, limit, after) => this.#options.catalog.list(filter, limit, after),
      // On a server that this process does not know every tenant fails at once, and there is nothing to share.
      inTurn: (server, part, signal) => this.#fleetShares.get(server)?.run(part, signal) ?? part(),
      work: async (row, tenant, limits) => {
        try {
          return await onTenant({ tenant: row.id, row: row.rowId }, tenant, limits)
        } finally {
          // A kept connection would take the place of one that a request comes back to.
          this.#budgets.get(row.server)?.leave(row.database)
        }
      },
      isInService: (row) => this.#isInService({ tenant: row.id, row: row.rowId }),
      isAbortion: (error, signal) => this.isAbortion(error, signal),
    }
  }

  /** True if an error, or one that it wraps, results from the end of work by this signal. */
  isAbortion(error: unknown, signal: AbortSignal | undefined): boolean {
    return isAbortion(error, signal, this.#options.home.isCancellation)
  }

  async #isInService(captured: CapturedTenant): Promise<boolean> {
    try {
      await this.#admit(captured)
    } catch (error) {
      const outOfService: readonly string[] = ['tenant-unknown', 'tenant-not-active']
      return !(error instanceof TenantryError && outOfService.includes(error.code))
    }
    return true
  }

  /** Returns the tenant of a domain; undefined if it belongs to none, is not verified, or is no domain at all. */
  async tenantOfDomain(domain: string): Promise<CapturedTenant | undefined> {
    const name = readDomain(domain)
    return name && this.#domains.tenantOf(name)
  }

  /** Forgets a domain, or all of them. */
  forgetDomains(domain?: DomainName): void {
    if (domain === undefined) this.#domains.forgetAll()
    else this.#domains.forget(domain)
  }

  /** Makes every process of the installation, this one first, release a tenant; see {@link EvictionChannel.evict}. */
  evict(eviction: Eviction, limitMs: number, options: Cancellable): Promise<void> {
    return this.#evictions.evict(eviction, limitMs, options)
  }

  /** Refuses new work, waits at most `deadlineMs` milliseconds for work under way, and closes all connections. */
  async close(deadlineMs: number): Promise<void> {
    const dropped = [...this.#opened.values()].map(dropOpened)
    this.#opened.clear()
    this.#watch.close()
    await Promise.all([...this.#budgets.values()].map((budget) => budget.close(deadlineMs)))
    this.#recovery.close()
    await Promise.all(this.#shares.map((share) => share.leave(closingMs)))
    await this.#channel.close(closingMs)
    await Promise.all(dropped)
  }

  #shareOf(server: Server): BudgetShare {
    const { home, installation, installationId, catalogConnections, tenantShare, waitMs } = this.#options
    const isHome = server === home
    const family = sha256(installationId).slice(0, 4)
    const [tenantRoles, tenantGroup] = [physicalNames.loginPrefix(installation), physicalNames.app(installation)]
    const question = { family, tenantRoles, tenantGroup, isAmongProcesses: isHome }
    return new BudgetShare({
      channel: this.#channel,
      server,
      family,
      beside: isHome ? catalogConnections + 1 : 0,
      occupancy: ({ session }) => (isHome ? server.occupancy(session, question) : readOccupancy(server, question)),
      tenantShare,
      waitMs,
    })
  }

  /** Admits to a tenant. A captured tenant may have been purged, and another may have its id. */
  async #admit({ tenant, row: rowId }: CapturedTenant): Promise<Admission> {
    const admission = this.#admissions.known(tenant) ?? (await this.#admissions.admit(tenant))
    if (rowId === undefined || admission.row.rowId === rowId) return admission
    throw new TenantryError('tenant-unknown', `The tenant ${tenant} that this was begun for was purged.`, {
      tenant,
      hint: "Another tenant has its id now, which is none of this work's business: drop the work.",
    })
  }

  #keepOpened(row: TenantRow): Opened<Handle> {
    const kept: Opened<Handle> = { rowId: row.rowId, route: this.#open(row) }
    // One of an earlier tenant with this id.
    const former = this.#opened.peek(row.id)
    if (former !== undefined) void dropOpened(former)
    this.#opened.set(row.id, kept)
    return kept
  }

  async #open(row: TenantRow): Promise<Route<Handle>> {
    const budget = requireServer(this.#budgets, row.server, row.id)
    const pool = new TenantPool(budget, {
      gate: (outdated) => this.#readmit(row, outdated),
      loginOf: this.#options.loginOf,
      scope: this.#options.scope,
      fleetShare: this.#fleetShares.get(row.server),
    })
    const handles = new OpenHandles(await this.#options.handles.open(pool, row))
    return { entered: { tenant: row.id, row: row.rowId }, handles }
  }

  /**
   * Admits again for a handle. A handle may outlive its tenant, and must not reach another one that has the id since.
   */
  #readmit({ id, rowId }: TenantRow, outdated?: Admission): Admission | Promise<Admission> {
    // Another caller may have renewed the admission already. Revoking that one would invalidate it for its holder, and
    // so on for ever.
    if (outdated !== undefined && this.#admissions.known(id) === outdated) this.#admissions.revoke(id)
    const known = this.#admissions.known(id)
    return known?.row.rowId === rowId ? known : this.#admit({ tenant: id, row: rowId })
  }

  /** Handles messages of the catalog itself, about domains that were added, verified or removed. */
  #onMessage(message: object): void {
    if ('domain' in message && typeof message.domain === 'string') this.#domains.forget(message.domain)
  }

  #forgetAll(): void {
    this.#admissions.revokeAll()
    this.#domains.forgetAll()
  }

  #onEvict({ tenant, server, database }: Eviction): void {
    this.#admissions.revoke(tenant)
    this.#budgets.get(server)?.leave(database)
  }
}
