import { type Kysely, type Selectable, sql } from 'kysely'
import { hasFailure } from '../kernel/errors.ts'
import type { ConnectionPool } from '../server/port.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import { addTargets, retryFailed } from './rollout-targets.ts'
import type { CatalogTables, RolloutState } from './tables.ts'

/** The settings of a rollout, which hold for all processes that work on it. */
export interface RolloutSettings {
  /** The ids of the only tenants; undefined for all of the plan's versions. */
  readonly only: readonly string[] | undefined
  /** The ids of the tenants that come first. */
  readonly canary: readonly string[]
  /** The shares of the other tenants at which a wave ends, rising, each between 0 and 1. */
  readonly waves: readonly number[]
  /** The largest number of tenants that are changed at once on each server. */
  readonly concurrency: number
  readonly haltAfter: number
  readonly leaseMs: number
  readonly lockTimeoutMs: number | undefined
  readonly largeTableBytes: number | undefined
}

/** A rollout that is to be recorded. */
export interface NewRollout extends RolloutSettings {
  /** The plan, as text that only provisioning reads. */
  readonly plan: string
  /** The version that it leads to. */
  readonly fingerprint: string
  /** The versions that it leads from. */
  readonly from: readonly string[]
  readonly actor: string | undefined
}

/** A rollout as the catalog knows it. */
export interface RolloutRow extends Omit<RolloutSettings, 'haltAfter' | 'canary' | 'waves'> {
  readonly number: number
  readonly state: RolloutState
  readonly plan: string
  readonly fingerprint: string
  readonly actor: string | undefined
  readonly startedAt: Date
  readonly endedAt: Date | undefined
}

/** The number of rollouts that are kept; older ones are deleted, with their tenants' errors. */
const kept = 100

/** The longest time between two statements of a transaction, in milliseconds. */
const idleMs = 5_000

const open = ['running', 'paused', 'halted'] as const

/** The catalog's records of rollouts. */
export class RolloutRecords {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** Records a rollout and its tenants. @returns its number; undefined while another is open */
  create(rollout: NewRollout): Promise<number | undefined> {
    return this.#inTransaction(async (db) => {
      // Looked for first: a conflict would use up a number.
      if (await isAnyOpen(db)) return undefined
      const row = await db
        .insertInto('rollout')
        .values({
          plan: rollout.plan,
          fingerprint: rollout.fingerprint,
          canary_ids: [...rollout.canary],
          actor: rollout.actor ?? null,
          ...changeable(rollout),
          halt_at: rollout.haltAfter,
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('number')
        .executeTakeFirst()
      if (row === undefined) return undefined
      await addTargets(db, row.number, rollout.from)
      await db
        .deleteFrom('rollout')
        .where('number', '<=', row.number - kept)
        .execute()
      return row.number
    })
  }

  /**
   * Lets an open rollout go on with other settings, and with failed and further tenants.
   *
   * @returns `closed` if it is over; `wider` if it has other tenants than the only ones that are to be changed
   */
  async extend(number: number, rollout: NewRollout): Promise<'extended' | 'closed' | 'wider'> {
    return this.#inTransaction(async (db) => {
      const before = await db
        .selectFrom('rollout')
        .select('only_ids')
        .where('number', '=', number)
        .where('state', 'in', open)
        .forUpdate()
        .executeTakeFirst()
      if (before === undefined) return 'closed'
      if (rollout.only !== undefined && before.only_ids === null) return 'wider'
      const only = rollout.only && [...new Set([...(before.only_ids ?? []), ...rollout.only])]
      await retryFailed(db, number, rollout.only)
      await db
        .updateTable('rollout')
        .set({ ...changeable({ ...rollout, only }), halt_at: haltAt(number, rollout.haltAfter) })
        .set({ state: 'running' })
        .where('number', '=', number)
        .execute()
      await addTargets(db, number, rollout.from)
      return 'extended'
    })
  }

  /** True if a rollout is open. */
  async isOpen(): Promise<boolean> {
    return isAnyOpen(this.#db)
  }

  /** Returns a rollout: the open one, or else the last one, if no number is given. */
  async find(number: number | undefined): Promise<RolloutRow | undefined> {
    const row = await this.#db
      .selectFrom('rollout')
      .selectAll()
      .$if(number !== undefined, (query) => query.where('number', '=', number as number))
      .orderBy(sql`state in ('running', 'paused', 'halted')`, 'desc')
      .orderBy('number', 'desc')
      .limit(1)
      .executeTakeFirst()
    return row && toRollout(row)
  }

  /** Returns rollouts, the newest first. */
  async list(limit: number): Promise<readonly RolloutRow[]> {
    const rows = await this.#db.selectFrom('rollout').selectAll().orderBy('number', 'desc').limit(limit).execute()
    return rows.map(toRollout)
  }

  /** Returns the number of a running rollout to a version. */
  async running(fingerprint: string): Promise<number | undefined> {
    const row = await this.#db
      .selectFrom('rollout')
      .select('number')
      .where('state', '=', 'running')
      .where('fingerprint', '=', fingerprint)
      .executeTakeFirst()
    return row?.number
  }

  /** Changes the state of a rollout. @returns false if it is in none of the states */
  async take(number: number, to: RolloutState, from: readonly RolloutState[]): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('rollout')
      .set({ state: to, ...(isOver(to) && { ended_at: sql`clock_timestamp()` }) })
      .where('number', '=', number)
      .where('state', 'in', from)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  /**
   * Lets a rollout that is not running go on, and tries failed tenants again.
   *
   * @param retried the ids of the failed ones; undefined for none
   * @returns false if it is in none of the states, or if another is open
   */
  async goOn(
    number: number,
    from: readonly RolloutState[],
    haltAfter: number,
    retried?: 'all' | readonly string[],
  ): Promise<boolean> {
    const change = this.#inTransaction(async (db) => {
      const found = await db
        .selectFrom('rollout')
        .select('number')
        .where('number', '=', number)
        .where('state', 'in', from)
        .where(
          sql<boolean>`not exists (select from tenantry.rollout other
            where other.number <> rollout.number and other.state in ('running', 'paused', 'halted'))`,
        )
        .forUpdate()
        .executeTakeFirst()
      if (found === undefined) return false
      if (retried !== undefined) await retryFailed(db, number, retried === 'all' ? undefined : retried)
      await db
        .updateTable('rollout')
        .set({ state: 'running', ended_at: null, halt_at: haltAt(number, haltAfter) })
        .where('number', '=', number)
        .execute()
      return true
    })
    return change.catch((error: unknown) => {
      // Another one was opened at the same moment.
      if (hasFailure(error, 'duplicate')) return false
      throw error
    })
  }

  /**
   * Ends a rollout of which every tenant was tried, unless there are further ones by then, which it lists.
   *
   * @returns its state
   */
  settle(number: number, from: readonly string[]): Promise<RolloutState> {
    return this.#inTransaction(async (db) => {
      const isLeft = sql<boolean>`exists (
        select from tenantry.rollout_target t where t.rollout = ${number} and t.state in ('waiting', 'running'))`
      const rollout = db.selectFrom('rollout').where('number', '=', number)
      const { state, left } = await rollout.select(['state', isLeft.as('left')]).executeTakeFirstOrThrow()
      if (state !== 'running' || left) return state
      await rollout.select('number').forUpdate().execute()
      if ((await addTargets(db, number, from)) > 0) return state
      const { numUpdatedRows } = await db
        .updateTable('rollout')
        .set({ state: 'done', ended_at: sql`clock_timestamp()` })
        .where('number', '=', number)
        .where('state', '=', 'running')
        .where(sql<boolean>`not ${isLeft}`)
        .executeTakeFirst()
      return numUpdatedRows === 1n ? 'done' : state
    })
  }

  /**
   * Runs a transaction that locks the row of a rollout. A process that is stopped in it loses its session soon: others wait
   * for the row.
   */
  #inTransaction<T>(work: (db: Kysely<CatalogTables>) => Promise<T>): Promise<T> {
    return this.#db.transaction().execute(async (db) => {
      await sql`set local idle_in_transaction_session_timeout = ${sql.lit(idleMs)}`.execute(db)
      return work(db)
    })
  }
}

async function isAnyOpen(db: Kysely<CatalogTables>): Promise<boolean> {
  return (await db.selectFrom('rollout').select('number').where('state', 'in', open).execute()).length > 0
}

/** True for a state that no process works in any more. */
export function isOver(state: RolloutState): state is 'done' | 'aborted' {
  return state === 'done' || state === 'aborted'
}

/** Returns the columns of the settings that may change while a rollout is open. */
function changeable({ only, waves, concurrency, leaseMs, lockTimeoutMs, largeTableBytes }: RolloutSettings) {
  return {
    only_ids: only === undefined ? null : [...only],
    waves: [...waves],
    concurrency,
    lease_ms: leaseMs,
    lock_timeout_ms: lockTimeoutMs ?? null,
    large_table_bytes: largeTableBytes ?? null,
  }
}

/** The number of failures at which a rollout is halted: so many more than it has. */
function haltAt(number: number, haltAfter: number) {
  return sql<number>`${haltAfter}::bigint + (
    select count(*) from tenantry.rollout_target t
    where t.rollout = ${number} and t.state = 'failed' and t.error ->> 'code' not in ('lock-timeout', 'sessions-remain'))`
}

function toRollout(row: Selectable<CatalogTables['rollout']>): RolloutRow {
  return {
    number: row.number,
    state: row.state,
    plan: row.plan,
    fingerprint: row.fingerprint,
    only: row.only_ids ?? undefined,
    concurrency: row.concurrency,
    leaseMs: row.lease_ms,
    lockTimeoutMs: row.lock_timeout_ms ?? undefined,
    largeTableBytes: row.large_table_bytes === null ? undefined : Number(row.large_table_bytes),
    actor: row.actor ?? undefined,
    startedAt: row.started_at,
    endedAt: row.ended_at ?? undefined,
  }
}
