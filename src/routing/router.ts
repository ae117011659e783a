import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import type { Catalog, TenantRow } from '../catalog/catalog.ts'
import type { Models, OpenModels } from '../models/port.ts'
import type { Server } from '../server/port.ts'
import { requireServer } from '../server/require-server.ts'
import { ServerBudget } from './server-budget.ts'
import { TenantPool } from './tenant-pool.ts'

/** How routing is done. */
export interface RoutingOptions<Handle> {
  readonly catalog: Catalog
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<Handle>
  /** How long to wait for a connection while all are busy, in milliseconds. */
  readonly waitMs: number
  /** How many tenants are kept opened; beyond, the one longest unused is opened anew when it is needed. */
  readonly keptTenants: number
}

/** Leads from a tenant's id to the models on its database. */
export class Router<Handle> {
  readonly #options: RoutingOptions<Handle>
  /** By the server's name. */
  readonly #budgets: ReadonlyMap<string, ServerBudget>
  /** Least recently used first. */
  readonly #opened = new Map<TenantId, Promise<OpenModels<Handle>>>()

  constructor(options: RoutingOptions<Handle>) {
    this.#options = options
    const { servers, waitMs } = options
    this.#budgets = new Map([...servers].map(([name, server]) => [name, new ServerBudget(server, waitMs)]))
  }

  /**
   * The models of a tenant, opened once and kept.
   *
   * @throws `tenant-unknown`, `tenant-not-active`, `no-open-server`
   */
  async route(id: TenantId): Promise<OpenModels<Handle>> {
    const opening = this.#opened.get(id) ?? this.#open(id)
    this.#opened.delete(id)
    this.#opened.set(id, opening)
    if (this.#opened.size > this.#options.keptTenants) this.#opened.delete(first(this.#opened.keys()))
    try {
      return await opening
    } catch (error) {
      // What could not be opened is tried anew by the next caller.
      if (this.#opened.get(id) === opening) this.#opened.delete(id)
      throw error
    }
  }

  /** Refuses new work, waits for what is under way, at most `deadlineMs` milliseconds, and closes all connections. */
  async close(deadlineMs: number): Promise<void> {
    this.#opened.clear()
    await Promise.all([...this.#budgets.values()].map((budget) => budget.close(deadlineMs)))
  }

  async #open(id: TenantId): Promise<OpenModels<Handle>> {
    const tenant = activeTenant(id, await this.#options.catalog.find(id))
    const budget = requireServer(this.#budgets, tenant.server, id)
    return this.#options.models.open(new TenantPool(budget, tenant.database), id)
  }
}

function activeTenant(id: TenantId, row: TenantRow | undefined): TenantRow {
  if (row === undefined) {
    throw new TenantryError('tenant-unknown', `There is no tenant ${id}.`, {
      tenant: id,
      hint: 'Check the id, or onboard the tenant first.',
    })
  }
  if (row.state === 'active') return row
  throw new TenantryError('tenant-not-active', `The tenant ${id} is ${row.state}.`, {
    tenant: id,
    hint: row.state === 'onboarding' ? 'Onboard it again: that finishes what was interrupted.' : undefined,
    retryable: row.state === 'onboarding',
  })
}

function first<T>(items: Iterable<T>): T {
  for (const item of items) return item
  throw new RangeError('There is no first item.')
}
