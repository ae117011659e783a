import type { ErrorCode } from '../kernel/errors.ts'
import type { TenantState } from './states.ts'

/** A change of a tenant. */
export type Verb =
  | 'onboard'
  | 'clone'
  | 'adopt'
  | 'update'
  | 'suspend'
  | 'resume'
  | 'offboard'
  | 'restore'
  | 'purge'
  | 'withdraw'
  | 'rotate-credentials'
  | 'restamp'
  | 'accept'
  | 'roll-out'
  | 'add-domain'
  | 'verify-domain'
  | 'remove-domain'

/** The author of a change. */
export interface Authorship {
  /** A person or a program, in the service's own words; any text. */
  readonly actor?: string | undefined
}

/** One entry of the audit trail. It stays when its tenant is purged. */
export interface AuditEntry {
  readonly at: Date
  readonly tenant: string
  readonly verb: Verb
  /** The state before; undefined for the first entry of a tenant's life. */
  readonly from: TenantState | undefined
  /** The state after; undefined once the tenant has been removed. */
  readonly to: TenantState | undefined
  /** The actor, if one was given. */
  readonly actor: string | undefined
  /** The role that the change was made as. */
  readonly role: string
  /**
   * `done`, written by the transaction that made the change. `failed` follows such an entry if a later step failed: the
   * tenant stays in its state, and repeating the call continues.
   */
  readonly outcome: 'done' | 'failed'
  /** The code of the error of that failure. */
  readonly error: ErrorCode | undefined
  /** The domain that was added, verified or removed. */
  readonly domain: string | undefined
}

/** The verb in the audit trail by which a tenant was made, by the origin of its database. */
export const makingVerbs = { models: 'onboard', clone: 'clone', adopt: 'adopt' } as const

/** An entry as the catalog's query selects it. */
interface SelectedEntry {
  readonly at: Date
  readonly tenant: string
  readonly verb: string
  readonly from_state: TenantState | null
  readonly to_state: TenantState | null
  readonly actor: string | null
  readonly role: string
  readonly outcome: 'done' | 'failed'
  readonly error: string | null
  readonly domain: string | null
}

/** The columns of a row as the fields of an entry. */
export function toAuditEntry(entry: SelectedEntry): AuditEntry {
  const { verb, from_state, to_state, actor, at, tenant, role, outcome, error, domain } = entry
  return {
    at,
    tenant,
    // The catalog holds only verbs and codes that were written by Tenantry's own lists.
    verb: verb as Verb,
    from: from_state ?? undefined,
    to: to_state ?? undefined,
    actor: actor ?? undefined,
    role,
    outcome,
    error: (error ?? undefined) as ErrorCode | undefined,
    domain: domain ?? undefined,
  }
}
