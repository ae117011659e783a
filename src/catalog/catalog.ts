import { type Kysely, sql } from 'kysely'
import { type ErrorCode, TenantryError } from '../kernel/errors.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import { type AuditEntry, type Authorship, makingVerbs, toAuditEntry, type Verb } from './audit.ts'
import { type Begun, noted, noteFailed } from './audit-trail.ts'
import { alsoSelected, filtered, type TenantFilter, tenantsOf } from './listing.ts'
import { leftBehindMinutes } from './opening-look.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import { type TenantState, type Transition, transitions } from './states.ts'
import type { CatalogTables, TenantOrigin } from './tables.ts'
import { type TenantRow, toTenant } from './tenant.ts'

/** A tenant that is to be. */
export interface NewTenant {
  /** A random id, under which its database is made. */
  readonly rowId: string
  readonly id: TenantId
  readonly displayName: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
  /** The names of the servers that may be chosen: the open one with the fewest tenants will be. At least one. */
  readonly servers: readonly string[]
  readonly database: Identifier
  readonly origin: TenantOrigin
  readonly source?: string | undefined
}

/** Columns that a transition writes besides the state. */
export interface TransitionDetails extends Authorship {
  readonly verb: Verb
  readonly to: TenantState
  /** The number of the transition. */
  readonly transition: number
  readonly fingerprint?: string | undefined
  readonly restingState?: 'active' | 'suspended' | undefined
  /** The retention of an offboarded tenant, in days. */
  readonly retentionDays?: number | undefined
}

/** Columns of a tenant that may change without its state. */
export interface TenantPatch {
  readonly displayName: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Counts of the tenants of one installation. */
export interface TenantCounts {
  readonly server: string
  readonly serverState: 'open' | 'closed'
  readonly state: TenantState | undefined
  readonly version: number | undefined
  readonly fingerprint: string | undefined
  readonly tenants: number
  /** The number of them that have a role of their own. */
  readonly separate: number
}

/** The catalog's records, over a pool or over one session. */
export class Catalog {
  readonly #db: Kysely<CatalogTables>
  #begun: Begun | undefined

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** Records servers and a version; existing records stay unchanged. */
  async register(servers: readonly string[], fingerprint: string): Promise<void> {
    for (const name of servers) {
      await this.#db
        .insertInto('server')
        .values({ name })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
    await this.#db
      .insertInto('version')
      .values({ fingerprint })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }

  /** Returns every tenant that is active or suspended on another server than this, with only its place. */
  async inServiceElsewhere(
    home: string,
  ): Promise<readonly { readonly id: TenantId; readonly rowId: string; readonly server: string }[]> {
    const rows = await this.#db
      .selectFrom('tenant')
      .innerJoin('server', 'server.id', 'tenant.server_id')
      .select(['tenant.id', 'tenant.row_id as rowId', 'server.name as server'])
      .where('tenant.state', 'in', ['active', 'suspended'])
      .where('server.name', '<>', home)
      .execute()
    // The catalog holds only ids that were checked on their way in.
    return rows.map((row) => ({ ...row, id: row.id as TenantId }))
  }

  async find(id: TenantId): Promise<TenantRow | undefined> {
    return (await this.findAll([id])).get(id)
  }

  /** Returns the existing ones among some tenants. */
  async findAll(ids: readonly TenantId[]): Promise<ReadonlyMap<TenantId, TenantRow>> {
    const rows = await this.#tenants()
      .where('tenant.id', '=', sql<string>`any(${ids})`)
      .execute()
    return new Map(rows.map(toTenant).map((row) => [row.id, row]))
  }

  /** Tenants in the order of their ids, at most `limit`, those after `after`. */
  async list(filter: TenantFilter, limit: number, after: string | undefined): Promise<TenantRow[]> {
    const page = filtered(this.#tenants(), filter).orderBy('tenant.id').limit(limit)
    const rows = await (after === undefined ? page : page.where('tenant.id', '>', after)).execute()
    return rows.map(toTenant)
  }

  /** The ids of tenants that `purgeExpired` is to take, in the order in which `list` shows them. */
  async expired(limit: number): Promise<TenantId[]> {
    const rows = await filtered(this.#tenants(), { expired: true }).orderBy('tenant.id').limit(limit).execute()
    return rows.map((row) => toTenant(row).id)
  }

  /** True if the retention of a tenant has ended, by the server's clock. */
  async hasExpired(id: TenantId): Promise<boolean> {
    const row = await filtered(this.#tenants(), { expired: true }).where('tenant.id', '=', id).executeTakeFirst()
    return row !== undefined
  }

  /**
   * Returns tenants whose making or purge has stood still for `leftBehindMinutes`, by the server's clock; at most
   * `limit`.
   */
  async leftBehind(limit: number): Promise<ReadonlySet<TenantId>> {
    const rows = await this.#tenants()
      .where('tenant.state', 'in', ['onboarding', 'purging'])
      .where('tenant.state_since', '<', sql<Date>`now() - make_interval(mins => ${leftBehindMinutes})`)
      .orderBy('tenant.state_since')
      .limit(limit)
      .execute()
    return new Set(rows.map((row) => toTenant(row).id))
  }

  /** Every server with its tenants, counted by state and version. */
  async count(): Promise<TenantCounts[]> {
    const rows = await this.#db
      .selectFrom('server')
      .leftJoin('tenant', 'tenant.server_id', 'server.id')
      .leftJoin('version', 'version.fingerprint', 'tenant.fingerprint')
      .leftJoin('credential', 'credential.row_id', 'tenant.row_id')
      .select((eb) => [
        'server.name as server',
        'server.state as server_state',
        'tenant.state as state',
        'version.number as version',
        'version.fingerprint as fingerprint',
        eb.fn.count<string>('tenant.row_id').as('tenants'),
        eb.fn.count<string>('credential.row_id').as('separate'),
      ])
      .groupBy(['server.name', 'server.state', 'tenant.state', 'version.number', 'version.fingerprint'])
      .orderBy('server.name')
      .orderBy('version.number')
      .execute()
    return rows.map(({ server_state, ...row }) => ({
      server: row.server,
      serverState: server_state,
      state: row.state ?? undefined,
      version: row.version ?? undefined,
      fingerprint: row.fingerprint ?? undefined,
      tenants: Number(row.tenants),
      separate: Number(row.separate),
    }))
  }

  /** The number of the catalog's newest migration. */
  async migration(): Promise<number> {
    const { number } = await this.#db
      .selectFrom('migration')
      .select((eb) => eb.fn.max('number').as('number'))
      .executeTakeFirstOrThrow()
    return number
  }

  /** Returns the audit trail of a tenant's id, the latest entry first. It outlives the tenant. */
  async history(id: TenantId, limit: number): Promise<AuditEntry[]> {
    const rows = await this.#db
      .selectFrom('audit')
      .selectAll()
      .where('tenant', '=', id)
      .orderBy('number', 'desc')
      .limit(limit)
      .execute()
    return rows.map(toAuditEntry)
  }

  /** Writes an entry into the audit trail for a change of a tenant other than of its state. */
  async note({ id, rowId, state }: TenantRow, verb: Verb, { actor }: Authorship): Promise<void> {
    const entry = { tenant: id, row_id: rowId, verb, from_state: state, to_state: state, actor: actor ?? null }
    await this.#db.insertInto('audit').values(entry).execute()
  }

  /**
   * Records the failure of a change that this object has begun, by {@link intend} or {@link take}; does nothing if it
   * has begun none.
   */
  async noteFailure(code: ErrorCode): Promise<void> {
    const begun = this.#begun
    if (begun !== undefined) await noteFailed(this.#db, begun, code).execute()
  }

  /**
   * Records a planned tenant and its place, or returns the existing one.
   *
   * @param isFollowed true if the next step on the catalog's own server waits for the disk: that flushes this record,
   *   too, and the loss of an earlier record has no consequence. Otherwise this call waits for the disk itself.
   * @throws `no-open-server`, `tenant-exists` if the database is another tenant's
   */
  async intend(
    tenant: NewTenant,
    authorship: Authorship,
    { isFollowed = false } = {},
  ): Promise<{ row: TenantRow; isNew: boolean }> {
    const query = this.#db.with('touched', (db) =>
      db
        .insertInto('tenant')
        .columns(['row_id', 'id', 'display_name', 'metadata', 'database', 'origin', 'source', 'server_id'])
        .expression(this.#placement(tenant, isFollowed ? 'off' : 'on'))
        .onConflict((conflict) => conflict.doNothing())
        .returning(['id', 'row_id', sql<null>`null`.as('from_state')]),
    )
    const note = { actor: authorship.actor, verb: makingVerbs[tenant.origin], to: 'onboarding' } as const
    const { numInsertedOrUpdatedRows } = await noted(query, note).executeTakeFirstOrThrow()
    const row = await this.find(tenant.id)
    // A row for another purpose is refused, and nothing is begun.
    const isMeant = row?.state === 'onboarding' && row.origin === tenant.origin && row.source === tenant.source
    if (isMeant) this.#begun = { ...authorship, rowId: row.rowId, verb: makingVerbs[row.origin] }
    if (row !== undefined) return { row, isNew: numInsertedOrUpdatedRows === 1n }
    await this.#refuseTaken(tenant)
    throw new TenantryError('no-open-server', `None of ${tenant.servers.join(', ')} is open for new tenants.`, {
      tenant: tenant.id,
      hint: 'Open one, or add a server to the configuration.',
    })
  }

  /**
   * Takes a transition of the state machine, and writes it into the audit trail by the same statement.
   *
   * @returns the tenant as it is then; undefined when it is not, or no longer, in a state that has the transition
   */
  async take(transition: Transition, rowId: string, change: TransitionDetails): Promise<TenantRow | undefined> {
    const from: readonly TenantState[] = transitions[transition].from
    const row = await this.#db
      .with('touched', (db) =>
        db
          .selectFrom('tenant')
          .select(['id', 'row_id', 'state as from_state'])
          .where('row_id', '=', rowId)
          .where('state', 'in', from)
          .forUpdate(),
      )
      .with('noted', (db) => noted(db, change).returning('row_id'))
      .with('changed', (db) =>
        db
          .updateTable('tenant')
          .from('touched')
          .set({
            state: change.to,
            state_since: sql`now()`,
            transition: change.transition,
            resting_state: change.restingState ?? null,
            purge_after:
              change.retentionDays === undefined ? null : sql`now() + make_interval(days => ${change.retentionDays})`,
          })
          .$if(change.fingerprint !== undefined, (update) =>
            update.set({ fingerprint: change.fingerprint as string, activated_at: sql`now()` }),
          )
          .whereRef('tenant.row_id', '=', 'touched.row_id')
          .returningAll('tenant'),
      )
      .selectFrom('changed')
      .innerJoin('server', 'server.id', 'changed.server_id')
      .leftJoin('version', 'version.fingerprint', 'changed.fingerprint')
      .leftJoin('credential', 'credential.row_id', 'changed.row_id')
      .selectAll('changed')
      .select(alsoSelected)
      .executeTakeFirst()
    this.#begun = { rowId, verb: change.verb, actor: change.actor }
    return row && toTenant(row)
  }

  /**
   * Removes a tenant's row: one that was never made (`withdraw`), or as the last step of a purge.
   *
   * @returns false if it was removed already, or is in another state
   */
  async remove(rowId: string, state: TenantState, verb: Verb, authorship: Authorship = {}): Promise<boolean> {
    const query = this.#db
      .with('touched', (db) =>
        db
          .deleteFrom('tenant')
          .where('row_id', '=', rowId)
          .where('state', '=', state)
          .returning(['id', 'row_id', 'state as from_state']),
      )
      .with('forgotten', (db) =>
        db.deleteFrom('credential').using('touched').whereRef('credential.row_id', '=', 'touched.row_id'),
      )
    const { numInsertedOrUpdatedRows } = await noted(query, { ...authorship, verb, to: null }).executeTakeFirst()
    this.#begun = undefined
    return numInsertedOrUpdatedRows === 1n
  }

  /**
   * Changes the record of a tenant. `patch` receives the row under a lock; it returns undefined if there is nothing to
   * change.
   */
  update(
    id: TenantId,
    patch: (row: TenantRow) => TenantPatch | undefined,
    authorship: Authorship,
  ): Promise<{ row: TenantRow; changed: boolean } | undefined> {
    return this.#db.transaction().execute(async (db) => {
      const found = await tenantsOf(db).where('tenant.id', '=', id).forUpdate('tenant').executeTakeFirst()
      if (found === undefined) return undefined
      const row = toTenant(found)
      const next = patch(row)
      if (next === undefined) return { row, changed: false }
      await db
        .updateTable('tenant')
        .set({ display_name: next.displayName ?? null, metadata: JSON.stringify(next.metadata) })
        .where('row_id', '=', row.rowId)
        .execute()
      await db
        .insertInto('audit')
        .values({
          tenant: id,
          row_id: row.rowId,
          verb: 'update',
          from_state: row.state,
          to_state: row.state,
          actor: authorship.actor ?? null,
        })
        .execute()
      return { row: { ...row, ...next }, changed: true }
    })
  }

  /** A database is one tenant's only; one that was adopted may have the very name that another would get. */
  async #refuseTaken({ id, database, servers }: NewTenant): Promise<void> {
    const other = await this.#tenants()
      .where('tenant.database', '=', database)
      .where('server.name', 'in', servers)
      .executeTakeFirst()
    if (other === undefined) return
    throw new TenantryError('tenant-exists', `The database ${database} is that of the tenant ${other.id} already.`, {
      tenant: id,
      hint: 'Choose another id, or another database.',
    })
  }

  /** The new tenant's row, with the server as chosen at this moment: the open one with the fewest tenants. */
  #placement(
    { rowId, id, displayName, metadata, servers, database, origin, source }: NewTenant,
    synchronousCommit: 'on' | 'off',
  ) {
    return (
      this.#db
        .selectFrom('server')
        .select((eb) => [
          sql<string>`${rowId}::uuid`.as('row_id'),
          eb.val(id).as('id'),
          eb.val(displayName ?? null).as('display_name'),
          sql<string>`${JSON.stringify(metadata)}::jsonb`.as('metadata'),
          eb.val<string>(database).as('database'),
          eb.val<TenantOrigin>(origin).as('origin'),
          eb.val(source ?? null).as('source'),
          'server.id as server_id',
        ])
        .where('server.state', '=', 'open')
        .where('server.name', 'in', servers)
        // For this transaction, which is this statement, without a round trip of its own.
        .where(sql<boolean>`set_config('synchronous_commit', ${synchronousCommit}, true) is not null`)
        .orderBy((eb) =>
          eb
            .selectFrom('tenant')
            .select((count) => count.fn.countAll().as('tenants'))
            .whereRef('tenant.server_id', '=', 'server.id'),
        )
        .orderBy('server.id')
        .limit(1)
    )
  }

  #tenants() {
    return tenantsOf(this.#db)
  }
}
