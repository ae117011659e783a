import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { type TenantRow, unknownTenant } from '../catalog/tenant.ts'
import { Inquiry } from './inquiry.ts'
import type { Condition } from './refuse-behind.ts'

/** The leave to work on a tenant, as long as it is valid. */
export interface Admission {
  readonly row: TenantRow
  /** Whether what the catalog said still holds, as far as this process has heard. */
  readonly isValid: () => boolean
}

/** What tells this process of changes. */
export interface Listening {
  /** Makes sure that this process hears of changes, which it tells by {@link Admissions.revoke}. */
  start(): Promise<void>
  /** Whether it does, without asking anybody. */
  isStarted(): boolean
}

interface Entry {
  valid: boolean
  readonly row: Promise<TenantRow>
  /** Once it was read. */
  admission?: Admission
}

/** Which tenants may be worked on: what the catalog said of each, for as long as this process would hear of a change. */
export class Admissions {
  readonly #inquiry: Inquiry<TenantId, TenantRow>
  readonly #listening: Listening
  readonly #condition: Condition | undefined
  readonly #entries: RecentlyUsed<TenantId, Entry>
  /** Those that are being read. Only what is found takes the place of others. */
  readonly #looks = new Map<TenantId, Entry>()

  /**
   * @param kept how many tenants are remembered; beyond, the one longest unused is looked up again
   * @param condition what must hold of a tenant besides; one of which it does not is looked up anew by the next caller
   */
  constructor(catalog: Pick<Catalog, 'findAll'>, listening: Listening, kept: number, condition?: Condition) {
    this.#inquiry = new Inquiry((ids) => catalog.findAll(ids))
    this.#listening = listening
    this.#condition = condition
    this.#entries = new RecentlyUsed(kept, outdate)
  }

  /** What {@link admit} gives, at once, where nobody has to be asked: so for most of what a service does. */
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
        // Who joined another's look may have come after the change that makes it outdated. The next began later than that.
        if ((isFirst && entry === known) || !entry.valid) continue
        throw error
      }
      // Revoked while it was being read: what was read may be older than what was heard.
      if (entry.valid) return (entry.admission ??= { row, isValid: () => entry.valid })
    }
  }

  /** Forgets what is known of a tenant. */
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
    this.#inquiry.abandon()
  }

  #look(id: TenantId): Entry {
    const entry: Entry = { valid: true, row: this.#read(id) }
    this.#looks.set(id, entry)
    // What could not be read, or is not active, is looked up anew by the next caller.
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
    const row = activeTenant(id, await this.#inquiry.ask(id))
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
  onboarding: 'Make it again as before (onboard, clone or adopt): that finishes what was interrupted.',
  suspended: 'Resume it, if it is to be in service again.',
  offboarded: 'Restore it, if it is to be in service again.',
  purging: 'It is being destroyed.',
}

function outdate(entry: Entry): void {
  entry.valid = false
}
