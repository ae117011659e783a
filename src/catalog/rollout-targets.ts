import { type Kysely, type Selectable, sql } from 'kysely'
import type { TenantId } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import type { CatalogTables, TargetError, TargetState } from './tables.ts'

/** The number of tenants of a rollout in each state. */
export type TargetCounts = Readonly<Record<TargetState, number>>

/** A tenant that a process has leased, to change it. */
export interface LeasedTarget {
  readonly rollout: number
  readonly rowId: string
  readonly tenant: TenantId
  /** The version that it had when it was listed. */
  readonly fingerprint: string
  readonly token: string
  /** The number of attempts, with the one that begins. */
  readonly attempts: number
}

/** The result of an attempt on a target. */
export type TargetReport =
  | { readonly state: 'changed' | 'skipped' }
  | { readonly state: 'failed'; readonly error: TargetError }
  | { readonly state: 'waiting'; readonly pauseMs: number; readonly error: TargetError | undefined }

/** A tenant of a rollout as the catalog knows it. */
export interface TargetRow {
  readonly tenant: TenantId
  readonly server: string
  readonly fingerprint: string
  readonly wave: number
  readonly state: TargetState
  readonly attempts: number
  readonly worker: string | undefined
  readonly error: TargetError | undefined
  readonly beganAt: Date | undefined
  readonly endedAt: Date | undefined
}

/** A choice among the tenants of a rollout. */
export interface TargetFilter {
  readonly state?: TargetState | undefined
  readonly after?: string | undefined
  readonly limit: number
}

/** The catalog's records of the tenants of rollouts. */
export class RolloutTargets {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** Leases tenants of a running rollout, on these servers, to a process: none if nothing is left that it may begin now. */
  async claim(
    rollout: number,
    worker: string,
    limit: number,
    servers: readonly string[],
  ): Promise<readonly LeasedTarget[]> {
    const { rows } = await sql<Selectable<CatalogTables['rollout_target']>>`
      select * from tenantry.claim_targets(${rollout}, ${worker}, ${limit}, ${servers})`.execute(this.#db)
    return rows.map(({ row_id, tenant, fingerprint, token, attempts }) => {
      return { rollout, rowId: row_id, tenant: tenant as TenantId, fingerprint, token, attempts }
    })
  }

  /** Extends the lease of a target. @returns false if the process has lost it */
  async renew({ rollout, rowId, token }: LeasedTarget): Promise<boolean> {
    const { rows } = await sql`
      update tenantry.rollout_target t set leased_until = clock_timestamp() + r.lease_ms * interval '1 ms'
      from tenantry.rollout r
      where r.number = t.rollout and t.rollout = ${rollout} and t.row_id = ${rowId} and t.token = ${token}
        and t.state = 'running' and set_config('synchronous_commit', 'off', true) is not null
      returning t.row_id`.execute(this.#db)
    return rows.length === 1
  }

  /** Records the result of an attempt. @returns false if another process has the target since */
  async report({ rollout, rowId, token }: LeasedTarget, report: TargetReport): Promise<boolean> {
    const pauseMs = report.state === 'waiting' ? Math.round(report.pauseMs) : null
    const error = 'error' in report && report.error !== undefined ? JSON.stringify(report.error) : null
    const { rows } = await sql<{ done: boolean }>`
      select tenantry.report_target(${rollout}, ${rowId}, ${token}, ${report.state}, ${pauseMs}, ${error}) as done`.execute(
      this.#db,
    )
    return rows[0]?.done === true
  }

  /** Returns the number of a rollout's tenants in each state. */
  async counts(number: number): Promise<TargetCounts> {
    const rows = await this.#db
      .selectFrom('rollout_target')
      .select((eb) => ['state', eb.fn.countAll<string>().as('tenants')])
      .where('rollout', '=', number)
      .groupBy('state')
      .execute()
    const none = { waiting: 0, running: 0, changed: 0, failed: 0, skipped: 0 }
    return { ...none, ...Object.fromEntries(rows.map(({ state, tenants }) => [state, Number(tenants)])) }
  }

  /** Returns tenants of a rollout, in the order of their ids. */
  async list(number: number, { state, after, limit }: TargetFilter): Promise<readonly TargetRow[]> {
    const rows = await this.#db
      .selectFrom('rollout_target as target')
      .innerJoin('server', 'server.id', 'target.server_id')
      .selectAll('target')
      .select('server.name as server')
      .where('rollout', '=', number)
      .$if(state !== undefined, (query) => query.where('target.state', '=', state as TargetState))
      .$if(after !== undefined, (query) => query.where('tenant', '>', after as string))
      .orderBy('tenant')
      .limit(limit)
      .execute()
    return rows.map((row) => ({
      tenant: row.tenant as TenantId,
      server: row.server,
      fingerprint: row.fingerprint,
      wave: row.wave,
      state: row.state,
      attempts: row.attempts,
      worker: row.worker ?? undefined,
      error: row.error ?? undefined,
      beganAt: row.began_at ?? undefined,
      endedAt: row.ended_at ?? undefined,
    }))
  }
}

/**
 * Lists the tenants of a rollout: canaries in wave 0, the others at random in waves from 1. Those that were skipped, and
 * are at one of the versions again, are listed anew.
 *
 * @returns the number of new ones
 */
export async function addTargets(db: Kysely<CatalogTables>, number: number, from: readonly string[]): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    insert into tenantry.rollout_target (rollout, row_id, tenant, server_id, fingerprint, wave)
    select r.number, t.row_id, t.id, t.server_id, t.fingerprint,
           case when t.id = any(r.canary_ids) then 0
                else 1 + width_bucket(percent_rank() over (partition by t.id = any(r.canary_ids) order by md5(t.row_id::text)), r.waves) end
    from tenantry.tenant t, tenantry.rollout r
    where r.number = ${number} and t.fingerprint = any(${[...from]}) and t.state in ('active', 'suspended')
      and (r.only_ids is null or t.id = any(r.only_ids))
    on conflict (rollout, row_id) do update
    set state = 'waiting', fingerprint = excluded.fingerprint, attempts = 0, not_before = null, ended_at = null
    where rollout_target.state = 'skipped'`.execute(db)
  return Number(numAffectedRows)
}

/** Lets failed tenants wait for another attempt. */
export async function retryFailed(
  db: Kysely<CatalogTables>,
  number: number,
  ids: readonly string[] | undefined,
): Promise<void> {
  await db
    .updateTable('rollout_target')
    .set({ state: 'waiting', attempts: 0, not_before: null, ended_at: null })
    .where('rollout', '=', number)
    .where('state', '=', 'failed')
    .$if(ids !== undefined, (query) => query.where(sql<boolean>`tenant = any(${ids})`))
    .execute()
}
