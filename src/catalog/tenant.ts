import { TenantryError } from '../kernel/errors.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { TenantState } from './states.ts'
import type { TenantOrigin } from './tables.ts'

/** A tenant as the catalog knows it. */
export interface Tenant {
  readonly id: TenantId
  /** For people; any text. */
  readonly displayName: string | undefined
  /** The service's own notes on the tenant. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly state: TenantState
  /** Since when it is in that state. */
  readonly stateSince: Date
  /** The name of its server. */
  readonly server: string
  /** The name of its database while it is in service. */
  readonly database: Identifier
  /** The version of the models its database was last verified against; undefined while onboarding. */
  readonly fingerprint: string | undefined
  /** That version's running number in this catalog, for people. */
  readonly version: number | undefined
  readonly createdAt: Date
  readonly activatedAt: Date | undefined
  /** Of an offboarded tenant, when its retention ends: from then on `purgeExpired` takes it. */
  readonly purgeAfter: Date | undefined
}

/** A tenant with its internal columns. */
export interface TenantRow extends Tenant {
  /** The id that its database's stamp names it by. */
  readonly rowId: string
  readonly origin: TenantOrigin
  /** The tenant whose database is copied, or the database that is adopted. */
  readonly source: string | undefined
  /** The state that an offboarded tenant had before. */
  readonly restingState: 'active' | 'suspended' | undefined
  /**
   * The number of its latest transition. It rises with each, and also over a catalog that was set back: it is at least the
   * milliseconds since 1970 at that moment.
   */
  readonly transition: number
  /** The password of its role; undefined if it shares the role of the connection. */
  readonly credential: SealedCredential | undefined
}

/** An encrypted password. */
export interface SealedCredential {
  readonly sealed: string
  /** The one that is being set, on another server than the catalog's. */
  readonly pending: string | undefined
}

/** Returns a tenant without its internal columns. */
export function publicTenant({
  rowId,
  origin,
  source,
  restingState,
  transition,
  credential,
  ...tenant
}: TenantRow): Tenant {
  return tenant
}

/** A tenant's row as the catalog's queries select it. */
export interface SelectedTenant {
  readonly row_id: string
  readonly id: string
  readonly display_name: string | null
  readonly metadata: Record<string, unknown>
  readonly state: TenantState
  readonly state_since: Date
  readonly server: string
  readonly database: string
  readonly fingerprint: string | null
  readonly version: number | null
  readonly created_at: Date
  readonly activated_at: Date | null
  readonly purge_after: Date | null
  readonly origin: TenantOrigin
  readonly source: string | null
  readonly resting_state: 'active' | 'suspended' | null
  /** A bigint, which the driver reads as text. */
  readonly transition: string
  readonly sealed: string | null
  readonly pending: string | null
}

/** The columns of a row as the fields of a tenant. */
export function toTenant(row: SelectedTenant): TenantRow {
  return {
    rowId: row.row_id,
    // The catalog holds only ids and names that were checked on their way in.
    id: row.id as TenantId,
    database: row.database as Identifier,
    displayName: row.display_name ?? undefined,
    metadata: row.metadata,
    state: row.state,
    stateSince: row.state_since,
    server: row.server,
    fingerprint: row.fingerprint ?? undefined,
    version: row.version ?? undefined,
    createdAt: row.created_at,
    activatedAt: row.activated_at ?? undefined,
    purgeAfter: row.purge_after ?? undefined,
    origin: row.origin,
    source: row.source ?? undefined,
    restingState: row.resting_state ?? undefined,
    transition: Number(row.transition),
    credential: row.sealed === null ? undefined : { sealed: row.sealed, pending: row.pending ?? undefined },
  }
}

/** The error of a tenant that is not there. */
export function unknownTenant(id: TenantId): TenantryError {
  return new TenantryError('tenant-unknown', `There is no tenant ${id}.`, {
    tenant: id,
    hint: 'Check the id, or onboard the tenant first.',
  })
}
