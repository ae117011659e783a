import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { type TenantRow, unknownTenant } from '../catalog/tenant.ts'
import { BatchLoader } from './batch-loader.ts'
import type { Condition } from './refuse-behind.ts'

/** Permission to work on a tenant, as long as it is valid. */
export interface Admission {
  readonly row: TenantRow
  /** True until this process receives notice of a change in the catalog. */
  readonly isValid: () => boolean
}

/** The source of notices about changes. */
export interface Listening {
  /** Makes sure that this process receives notices of changes, which arrive as calls of {@link Admissions.revoke}. */
  start(): Promise<void>
  /** True if it is started, without a query. */
  isStarted(): boolean
}

interface Entry {
  valid: boolean
  readonly row: Promise<TenantRow>
  /** Set once the row has been read. */
  admission?: Admission
}

/**
 * The tenants that may be worked on: the catalog's answer for each, kept for as long as this process would receive
 * notice of a change.
 */
export class Admissions {
  readonly #loader: BatchLoader<TenantId, TenantRow>
  readonly #listening: Listening
  readonly #condition: Condition | undefined
  readonly #entries: RecentlyUsed<TenantId, Entry>
  /** Look-ups under way. They are kept apart, so that only a tenant that exists displaces another. */
  readonly #looks = new Map<TenantId, Entry>()

  /**
   * @param kept the number of tenants remembered; beyond it the least recently used is looked up again
   * @param condition a further condition on tenants; a tenant that fails it is looked up again for the next caller
   */
  constructor(catalog: Pick<Catalog, 'findAll'>, listening: Listening, kept: number, condition?: Condition) {
    this.#loader = new BatchLoader((ids) => catalog.findAll(ids))
    this.#listening = listening
    this.#condition = condition
    this.#entries = new RecentlyUsed(kept, outdate)
  }

  /** Returns the same as {@link admit}, without waiting, if no query is needed: the usual case in a service. */
  known(id: TenantId): Admission | undefined {
    return this.#listening.isStarted() ? this.#entries.get(id)?.admission : undefined
  }

  /** @throws `tenant-unknown`, `tenant-not-active`, `tenant-behind` */
  async admit(id: TenantId): Promise<Admission> {
    for (let isFirst = true; ; isFirst = false) {
      await this.#listening.start()
      const known = this.#entries.get(id) ?? this.#looks.get(id)
      const entry = known ?? this.#look(id)
      let row: TenantRow
      try {
        row = await entry.row
      } catch (error) {
        // A caller that joined another caller's look-up may have come after the change that outdates it. The next
        // look-up began later than that.
        if ((isFirst && entry === known) || !entry.valid) continue
        throw error
      }
      // Revoked during the look-up: the row may be older than the notice.
      if (entry.valid) return (entry.admission ??= { row, isValid: () => entry.valid })
    }
  }

  /** Forgets a tenant. */
  revoke(id: TenantId): void {
    const entry = this.#entries.peek(id) ?? this.#looks.get(id)
    if (entry === undefined) return
    outdate(entry)
    this.#entries.delete(id)
    this.#looks.delete(id)
  }

  revokeAll(): void {
    for (const entry of [...this.#entries.values(), ...this.#looks.values()]) outdate(entry)
    this.#entries.clear()
    this.#looks.clear()
    this.#loader.abandon()
  }

  #look(id: TenantId): Entry {
    const entry: Entry = { valid: true, row: this.#read(id) }
    this.#looks.set(id, entry)
    // A tenant that could not be read, or is not active, is looked up again for the next caller.
    entry.row.then(
      () => this.#keep(id, entry),
      () => this.#leave(id, entry),
    )
    return entry
  }

  #keep(id: TenantId, entry: Entry): void {
    this.#leave(id, entry)
    if (entry.valid) this.#entries.set(id, entry)
  }

  #leave(id: TenantId, entry: Entry): void {
    if (this.#looks.get(id) === entry) this.#looks.delete(id)
  }

  async #read(id: TenantId): Promise<TenantRow> {
    const row = activeTenant(id, await this.#loader.load(id))
    await this.#condition?.(row)
    return row
  }
}

function activeTenant(id: TenantId, row: TenantRow | undefined): TenantRow {
  if (row === undefined) throw unknownTenant(id)
  if (row.state === 'active') return row
  throw new TenantryError('tenant-not-active', `The tenant ${id} is ${row.state}.`, {
    tenant: id,
    tenantState: row.state,
    hint: wayBack[row.state],
    retryable: row.state === 'onboarding',
  })
}

const wayBack = {
  onboarding: 'Make it again as before (onboard, clone or adopt): that finishes the interrupted call.',
  suspended: 'Resume it, if it is to be in service again.',
  offboarded: 'Restore it, if it is to be in service again.',
  purging: 'It is being destroyed.',
}

function outdate(entry: Entry): void {
  entry.valid = false
}
