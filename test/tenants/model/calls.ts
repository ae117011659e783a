import type { ErrorCode, ListOptions, TenantState } from 'tenantry'

export type Metadata = Readonly<Record<string, unknown>>

interface OfTenant {
  readonly id: string
}

/** The properties of a new tenant. `metadata: { broken: true }` makes `initialise` fail. */
interface NewTenant extends OfTenant {
  readonly displayName?: string
  readonly metadata?: Metadata
}

/** A call of a verb, as data: it is sent to a process, and the model takes it as well. */
export type Call =
  | (NewTenant & { readonly verb: 'onboard'; readonly server?: string; readonly existing?: 'allow' | 'refuse' })
  | (NewTenant & {
      readonly verb: 'clone'
      readonly source: string
      readonly existing?: 'allow' | 'refuse'
      /** True if `anonymise` fails. */
      readonly breaks?: boolean
    })
  | (NewTenant & { readonly verb: 'adopt'; readonly database: string; readonly server?: string })
  | (OfTenant & { readonly verb: 'update'; readonly displayName?: string | null; readonly metadata?: Metadata })
  | (OfTenant & { readonly verb: 'offboard'; readonly retentionDays: number })
  | (OfTenant & {
      readonly verb: 'suspend' | 'resume' | 'restore' | 'purge' | 'read' | 'write' | 'run' | 'get' | 'history'
    })
  | { readonly verb: 'purgeExpired' }
  | ({ readonly verb: 'list' } & Pick<ListOptions, 'state' | 'expired'>)

/** The call of one verb. */
export type CallOf<Verb extends Call['verb']> = Extract<Call, { readonly verb: Verb }>

/** A call with its identification: the actor in the audit trail, the text of the row that it writes. */
export interface Request {
  readonly call: Call
  readonly label: string
}

/** The compared fields of a tenant; databases are without the installation's name. */
export interface TenantView {
  readonly id: string
  readonly state: TenantState
  readonly displayName: string | null
  readonly metadata: Metadata
  readonly server: string
  readonly database: string
  readonly activated: boolean
  readonly retentionDays: number | null
}

/** The compared fields of an audit entry. */
export interface AuditView {
  readonly verb: string
  readonly from: TenantState | null
  readonly to: TenantState | null
  readonly actor: string | null
}

/** The result of a call, as JSON can hold it. */
export type Result =
  | { readonly code: ErrorCode | 'unexpected' }
  | { readonly outcome: string; readonly tenant?: TenantView }
  | { readonly purged: readonly string[]; readonly failed: readonly string[] }
  | { readonly rows: readonly string[] }
  | { readonly tenants: readonly TenantView[] }
  | { readonly entries: readonly AuditView[] }
