import { type Kysely, sql } from 'kysely'
import { type ErrorCode, TenantryError } from '../kernel/errors.ts'
import type { Identifier, TenantId } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import { type Authorship, makingVerbs, type Verb } from './audit.ts'
import { type Begun, noted, noteFailed } from './audit-trail.ts'
import { CatalogReading } from './catalog-reading.ts'
import { alsoSelected, tenantsOf } from './listing.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import { type TenantState, type Transition, transitions } from './states.ts'
import type { CatalogTables, TenantOrigin } from './tables.ts'
import { type TenantRow, toTenant } from './tenant.ts'
import { setDesiredVersion } from './versions.ts'

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

/** The catalog's records, over a pool or over one session. */
export class Catalog extends CatalogReading {
  readonly #db: Kysely<CatalogTables>
  #begun: Begun | undefined

  constructor(pool: ConnectionPool) {
    const db = openCatalogDatabase(pool)
    super(db)
    this.#db = db
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

  /** Makes a version, by its number or fingerprint, the desired one. @returns undefined if there is none */
  setDesired(version: number | string): ReturnType<typeof setDesiredVersion> {
    return setDesiredVersion(this.#db, version)
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

  /** Gives a tenant another version. @returns undefined if it is not, or no longer, in its state */
  async setVersion(
    { id, rowId, state }: TenantRow,
    fingerprint: string,
    authorship: Authorship & { readonly verb: Verb },
  ): Promise<TenantRow | undefined> {
    const query = this.#db.with('touched', (db) =>
      db
        .updateTable('tenant')
        .set({ fingerprint })
        .where('row_id', '=', rowId)
        .where('state', '=', state)
        .returning(['id', 'row_id', 'state as from_state']),
    )
    const { numInsertedOrUpdatedRows } = await noted(query, { ...authorship, to: state }).executeTakeFirst()
    return numInsertedOrUpdatedRows === 1n ? this.find(id) : undefined
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
    const other = await tenantsOf(this.#db)
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
}
