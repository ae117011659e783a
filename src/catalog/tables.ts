import type { ColumnType, Generated } from 'kysely'
import type { ErrorCode } from '../kernel/errors.ts'
import type { TenantState } from './states.ts'

/** The origin of a tenant's database: made from the models, cloned from another tenant's, or adopted. */
export type TenantOrigin = 'models' | 'clone' | 'adopt'

/** The state of a template. One that is `dropping` is no longer used, and its database will be dropped. */
export type TemplateState = 'building' | 'ready' | 'dropping'

/** The state of a spare. One that is `dropping` is no longer used, and its database will be dropped. */
export type SpareState = 'filling' | 'ready' | 'dropping'

/**
 * The state of a rollout. One that is `running` gives its tenants to every process that works on it; `paused` and `halted`
 * ones, the latter after failures, can be resumed.
 */
export type RolloutState = 'running' | 'paused' | 'halted' | 'done' | 'aborted'

/** The state of one tenant in a rollout. One that is `skipped` has left the plan's versions, or service. */
export type TargetState = 'waiting' | 'running' | 'changed' | 'failed' | 'skipped'

/** The error of the last attempt on a tenant, as a rollout records it. */
export interface TargetError {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
}

/** The catalog's tables, all in the schema `tenantry`, as Kysely sees them. */
export interface CatalogTables {
  migration: { number: number; compatible_from: number }
  installation: { id: Generated<string>; name: string; lock_secret: Generated<string>; desired: string | null }
  server: { id: Generated<number>; name: string; state: Generated<'open' | 'closed'> }
  version: {
    number: Generated<number>
    fingerprint: string
    first_seen_at: Generated<Date>
    /** A bigint, which the driver reads as text. */
    rank: Generated<string>
  }
  tenant: {
    row_id: Generated<string>
    id: string
    display_name: string | null
    metadata: ColumnType<Record<string, unknown>, string, string>
    state: Generated<TenantState>
    server_id: number
    database: string
    fingerprint: string | null
    created_at: Generated<Date>
    activated_at: Date | null
    origin: Generated<TenantOrigin>
    source: string | null
    resting_state: 'active' | 'suspended' | null
    purge_after: Date | null
    state_since: Generated<Date>
    transition: ColumnType<string, never, number>
  }
  template: {
    row_id: string
    server_id: number
    fingerprint: string
    state: Generated<TemplateState>
    digest: string | null
    created_at: Generated<Date>
  }
  rollout: {
    number: Generated<number>
    state: Generated<RolloutState>
    plan: string
    fingerprint: string
    only_ids: string[] | null
    canary_ids: string[]
    waves: number[]
    concurrency: number
    halt_at: ColumnType<string, number, number>
    lease_ms: number
    lock_timeout_ms: number | null
    large_table_bytes: ColumnType<string | null, number | null, number | null>
    actor: string | null
    started_at: Generated<Date>
    ended_at: Date | null
  }
  rollout_target: {
    rollout: number
    row_id: string
    tenant: string
    server_id: number
    fingerprint: string
    wave: number
    state: Generated<TargetState>
    worker: string | null
    token: Generated<string>
    attempts: Generated<number>
    leased_until: Date | null
    not_before: Date | null
    error: ColumnType<TargetError | null, string | null>
    began_at: Date | null
    ended_at: Date | null
  }
  structure: { fingerprint: string; major_version: number; structure: string }
  spare: {
    row_id: string
    server_id: number
    fingerprint: string
    database: string
    state: Generated<SpareState>
    oid: number | null
    created_at: Generated<Date>
  }
  credential: { row_id: string; sealed: string; pending: string | null; changed_at: Generated<Date> }
  domain: {
    domain: string
    row_id: string
    token: string
    added_at: Generated<Date>
    verified_at: Date | null
  }
  audit: {
    number: Generated<string>
    at: Generated<Date>
    tenant: string
    row_id: string
    verb: string
    from_state: TenantState | null
    to_state: TenantState | null
    actor: string | null
    role: Generated<string>
    outcome: Generated<'done' | 'failed'>
    error: Generated<string | null>
    domain: Generated<string | null>
  }
}
