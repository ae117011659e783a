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
