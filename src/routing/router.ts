import type { Cancellable } from '../kernel/abort.ts'
import { type DomainName, readDomain } from '../kernel/domain-names.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Domains } from '../catalog/domains.ts'
import { type TenantRow, unknownTenant } from '../catalog/tenant.ts'
import type { Models, OpenModels } from '../models/port.ts'
import type { Server, SessionDefaults } from '../server/port.ts'
import { requireServer } from '../server/require-server.ts'
import { type Admission, Admissions } from './admissions.ts'
import { type DirectorySize, DomainDirectory } from './domain-directory.ts'
import { type Eviction, EvictionChannel } from './eviction-channel.ts'
import { ServerBudget } from './server-budget.ts'
import type { CapturedTenant } from './tenant-context.ts'
import { type LoginOf, TenantPool } from './tenant-pool.ts'

/** How routing is done. */
export interface RoutingOptions<Handle> {
  readonly catalog: Catalog
  readonly domains: Domains
  /** The server that the catalog is on, and its database. */
  readonly home: Server
  readonly catalogDatabase: Identifier
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<Handle>
  readonly loginOf: LoginOf
  /** How long to wait for a connection while all are busy, in milliseconds. */
  readonly waitMs: number
  /** What holds in tenants' sessions. */
  readonly session: SessionDefaults
  /** How many tenants are remembered; beyond, the one longest unused is looked up anew when it is needed. */
  readonly keptTenants: number
  /** How many domains are remembered. */
  readonly keptDomains: DirectorySize
  /** How many tenants' models are kept opened; beyond, those longest unused are opened anew, in microseconds. */
  readonly keptHandles: number
}

interface Opened<Handle> {
  readonly rowId: string
  readonly models: Promise<OpenModels<Handle>>
}

/** Leads from a tenant's id to the models on its database. */
export class Router<Handle> {
  readonly #options: RoutingOptions<Handle>
  /** By the server's name. */
  readonly #budgets: ReadonlyMap<string, ServerBudget>
  readonly #channel: EvictionChannel
  readonly #admissions: Admissions
  readonly #domains: DomainDirectory
  /** Least recently used first. */
  readonly #opened = new Map<TenantId, Opened<Handle>>()

  constructor(options: RoutingOptions<Handle>) {
    const { servers, waitMs, session, catalog, keptTenants } = options
    this.#options = options
    this.#budgets = new Map([...servers].map(([name, server]) => [name, new ServerBudget(server, waitMs, session)]))
    this.#channel = new EvictionChannel(options.home, options.catalogDatabase, {
      onEvict: (eviction) => this.#letGo(eviction),
      onDomain: (domain) => this.#domains.forget(domain),
      onLost: () => {
        this.#admissions.revokeAll()
        this.#domains.forgetAll()
      },
    })
    const listen = () => this.#channel.start()
    this.#admissions = new Admissions(catalog, listen, keptTenants)
    this.#domains = new DomainDirectory((asked) => options.domains.routes(asked), listen, options.keptDomains)
  }

  /** Makes sure that a tenant may be worked on, and says which it is. @throws `tenant-unknown`, `tenant-not-active` */
  async admit(captured: CapturedTenant): Promise<CapturedTenant> {
    const { row } = await this.#admit(captured)
    return { tenant: row.id, row: row.rowId }
  }

  /**
   * The models of a tenant, opened once and kept.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `no-open-server`
   */
  async route(captured: CapturedTenant): Promise<{ entered: CapturedTenant; models: OpenModels<Handle> }> {
    const { row } = await this.#admit(captured)
    const { id } = row
    const known = this.#opened.get(id)
    const opened = known?.rowId === row.rowId ? known : { rowId: row.rowId, models: this.#open(row) }
    this.#opened.delete(id)
    this.#opened.set(id, opened)
    if (this.#opened.size > this.#options.keptHandles) this.#forgetOldest()
    try {
      return { entered: { tenant: id, row: row.rowId }, models: await opened.models }
    } catch (error) {
      // What could not be opened is tried anew by the next caller.
      if (this.#opened.get(id) === opened) this.#opened.delete(id)
      throw error
    }
  }

  /** Whose a domain is; undefined where it is nobody's, not verified, or no domain at all. */
  async tenantOfDomain(domain: string): Promise<TenantId | undefined> {
    const name = readDomain(domain)
    return name && this.#domains.tenantOf(name)
  }

  /** Forgets whose a domain is, or all of them. */
  forgetDomains(domain?: DomainName): void {
    if (domain === undefined) this.#domains.forgetAll()
    else this.#domains.forget(domain)
  }

  /** Makes every process of the installation, this one first, let go of a tenant; see {@link EvictionChannel.evict}. */
  evict(eviction: Eviction, limitMs: number, options: Cancellable): Promise<void> {
    return this.#channel.evict(eviction, limitMs, options)
  }

  /** Refuses new work, waits for what is under way, at most `deadlineMs` milliseconds, and closes all connections. */
  async close(deadlineMs: number): Promise<void> {
    this.#opened.clear()
    await Promise.all([...this.#budgets.values()].map((budget) => budget.close(deadlineMs)))
    await this.#channel.close()
  }

  /** One that was captured may be gone, and another have its id. */
  async #admit({ tenant, row: rowId }: CapturedTenant): Promise<Admission> {
    const admission = await this.#admissions.admit(tenant)
    if (rowId === undefined || admission.row.rowId === rowId) return admission
    throw unknownTenant(tenant)
  }

  async #open(row: TenantRow): Promise<OpenModels<Handle>> {
    const budget = requireServer(this.#budgets, row.server, row.id)
    const pool = new TenantPool(budget, (isAnew) => this.#readmit(row, isAnew), this.#options.loginOf)
    return this.#options.models.open(pool, row.id)
  }

  /** A handle may outlive its tenant: another one that got the id since is none of its business. */
  async #readmit({ id, rowId }: TenantRow, isAnew = false): Promise<Admission> {
    if (isAnew) this.#admissions.revoke(id)
    const admission = await this.#admissions.admit(id)
    if (admission.row.rowId === rowId) return admission
    throw unknownTenant(id)
  }

  #letGo({ tenant, server, database }: Eviction): void {
    this.#admissions.revoke(tenant)
    this.#budgets.get(server)?.leave(database)
  }

  #forgetOldest(): void {
    for (const oldest of this.#opened.keys()) {
      this.#opened.delete(oldest)
      return
    }
  }
}
