import type { TenantState } from './states.ts'

/** What was done to a tenant. */
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

/** Who asked for a change. */
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
  /** The state after; undefined once the tenant is gone. */
  readonly to: TenantState | undefined
  /** Who asked, where that was said. */
  readonly actor: string | undefined
  /** The role that the change was made as. */
  readonly role: string
}

/** What a tenant's making is called in the audit trail, by where its database comes from. */
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
}

/** The columns of a row as the fields of an entry. */
export function toAuditEntry({ verb, from_state, to_state, actor, at, tenant, role }: SelectedEntry): AuditEntry {
  return {
    at,
    tenant,
    // The catalog holds only verbs that were written by this very list.
    verb: verb as Verb,
    from: from_state ?? undefined,
    to: to_state ?? undefined,
    actor: actor ?? undefined,
    role,
  }
}
