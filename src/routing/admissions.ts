import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import { RecentlyUsed } from '../kernel/recently-used.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { type TenantRow, unknownTenant } from '../catalog/tenant.ts'
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
  readonly #catalog: Catalog
  readonly #listening: Listening
  readonly #condition: Condition | undefined
  readonly #entries: RecentlyUsed<TenantId, Entry>

  /**
   * @param kept how many tenants are remembered; beyond, the one longest unused is looked up again
   * @param condition what must hold of a tenant besides; one of which it does not is looked up anew by the next caller
   */
  constructor(catalog: Catalog, listening: Listening, kept: number, condition?: Condition) {
    this.#catalog = catalog
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
    for (;;) {
      await this.#listening.start()
      const known = this.#entries.get(id)
      const entry = known ?? this.#look(id)
      let row: TenantRow
      try {
        row = await entry.row
      } catch (error) {
        // Who joined another's look may have come after the change that makes it outdated.
        if (entry === known) continue
        throw error
      }
      // Revoked while it was being read: what was read may be older than what was heard.
      if (entry.valid) return (entry.admission ??= { row, isValid: () => entry.valid })
    }
  }

  /** Forgets what is known of a tenant. */
  revoke(id: TenantId): void {
    const entry = this.#entries.peek(id)
    if (entry === undefined) return
    outdate(entry)
    this.#entries.delete(id)
  }

  revokeAll(): void {
    for (const entry of this.#entries.values()) outdate(entry)
    this.#entries.clear()
  }

  #look(id: TenantId): Entry {
    const entry: Entry = { valid: true, row: this.#read(id) }
    // What could not be read, or is not active, is looked up anew by the next caller.
    entry.row.catch(() => {
      if (this.#entries.peek(id) === entry) this.#entries.delete(id)
    })
    this.#entries.set(id, entry)
    return entry
  }

  async #read(id: TenantId): Promise<TenantRow> {
    const row = activeTenant(id, await this.#catalog.find(id))
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
