import { type Kysely, sql } from 'kysely'
import type { Identifier } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import type { Authorship } from './audit.ts'
import { type Claim, type Claimed, claimSpare } from './claim.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import type { CatalogTables, SpareState, TemplateState } from './tables.ts'

/** The key of a group of spares and its template: one server, one version of the models. */
export interface SparePool {
  /** The name of the server. */
  readonly server: string
  readonly fingerprint: string
}

/** A template as the catalog knows it. */
export interface TemplateRow extends SparePool {
  readonly rowId: string
  readonly state: TemplateState
  /** Of its structure, once it is ready. */
  readonly digest: string | undefined
}

/** A finished template, with its structure. */
export interface FinishedTemplate {
  readonly digest: string
  readonly fingerprint: string
  /** The major version of its server. */
  readonly majorVersion: number
  /** The structure, as text that only provisioning reads. */
  readonly structure: string
}

/** A spare as the catalog knows it. */
export interface SpareRow extends SparePool {
  readonly rowId: string
  readonly database: Identifier
  readonly state: SpareState
  /** The server's number of the database, once it is ready. */
  readonly oid: number | undefined
}

/** The number of items of a pool of spares in one state. */
export type SpareCount = SparePool & {
  /** The version's running number. */
  readonly version: number
  readonly count: number
} & (
    | { readonly kind: 'template'; readonly state: TemplateState }
    | { readonly kind: 'spare'; readonly state: SpareState }
  )

/** The catalog's records of templates and spares, over a pool or over one session. */
export class Inventory {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** Returns the template to clone from; undefined if none is ready. */
  async readyTemplate(sparePool: SparePool): Promise<TemplateRow | undefined> {
    const [row] = await this.templates(sparePool, ['ready'])
    return row
  }

  async templates(sparePool: SparePool, states: readonly TemplateState[]): Promise<TemplateRow[]> {
    const rows = await this.#db
      .selectFrom('template')
      .innerJoin('server', 'server.id', 'template.server_id')
      .select(['template.row_id', 'template.state', 'template.digest'])
      .where('server.name', '=', sparePool.server)
      .where('template.fingerprint', '=', sparePool.fingerprint)
      .where('template.state', 'in', states)
      .execute()
    return rows.map(({ row_id, state, digest }) => ({
      ...sparePool,
      rowId: row_id,
      state,
      digest: digest ?? undefined,
    }))
  }

  /** Every template of every version and server. */
  async allTemplates(): Promise<TemplateRow[]> {
    const rows = await this.#db
      .selectFrom('template')
      .innerJoin('server', 'server.id', 'template.server_id')
      .select(['server.name as server', 'template.fingerprint', 'template.row_id', 'template.state', 'template.digest'])
      .execute()
    return rows.map(({ row_id, digest, ...row }) => ({ ...row, rowId: row_id, digest: digest ?? undefined }))
  }

  /** Every spare of every version and server. */
  async allSpares(): Promise<SpareRow[]> {
    const rows = await this.#db
      .selectFrom('spare')
      .innerJoin('server', 'server.id', 'spare.server_id')
      .select([
        'server.name as server',
        'spare.fingerprint',
        'spare.row_id',
        'spare.database',
        'spare.state',
        'spare.oid',
      ])
      .execute()
    return rows.map(({ server, fingerprint, ...row }) => toSpare({ server, fingerprint }, row))
  }

  async addTemplate({ server, fingerprint }: SparePool, rowId: string): Promise<void> {
    await this.#db
      .insertInto('template')
      .columns(['row_id', 'fingerprint', 'server_id'])
      .expression((eb) =>
        eb
          .selectFrom('server')
          .select([sql<string>`${rowId}::uuid`.as('row_id'), eb.val(fingerprint).as('fingerprint'), 'id'])
          .where('name', '=', server),
      )
      .execute()
  }

  /**
   * Marks a template as ready, and stores the structure of its version.
   *
   * @returns false if the row was removed or discarded meanwhile
   */
  async finishTemplate(rowId: string, { digest, fingerprint, ...worded }: FinishedTemplate): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .with('stored', (db) =>
        db
          .insertInto('structure')
          .values({ fingerprint, major_version: worded.majorVersion, structure: worded.structure })
          .onConflict((it) =>
            it.columns(['fingerprint', 'major_version']).doUpdateSet({ structure: worded.structure }),
          ),
      )
      .updateTable('template')
      .set({ state: 'ready', digest })
      .where('row_id', '=', rowId)
      .where('state', '=', 'building')
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  /** Returns the structure of a version, in the words of each major version of the servers that have a template of it. */
  async structures(fingerprint: string): Promise<ReadonlyMap<number, string>> {
    const rows = await this.#db
      .selectFrom('structure')
      .select(['major_version', 'structure'])
      .where('fingerprint', '=', fingerprint)
      .execute()
    return new Map(rows.map(({ major_version, structure }) => [major_version, structure]))
  }

  /** Marks a template for dropping; it is not used from now on. */
  async discardTemplate(rowId: string): Promise<void> {
    await this.#db.updateTable('template').set({ state: 'dropping' }).where('row_id', '=', rowId).execute()
  }

  async removeTemplate(rowId: string): Promise<void> {
    await this.#db.deleteFrom('template').where('row_id', '=', rowId).execute()
  }

  /** Makes a tenant of a spare on the catalog's own server, or returns the reason why it cannot. */
  claim(claim: Claim, authorship: Authorship): Promise<Claimed> {
    return claimSpare(this.#db, claim, authorship)
  }

  /** Spares in these states, the oldest first. */
  async spares(sparePool: SparePool, states: readonly SpareState[]): Promise<SpareRow[]> {
    const rows = await this.#spares(sparePool, states).execute()
    return rows.map((row) => toSpare(sparePool, row))
  }

  /**
   * Takes the oldest spare for the duration of the open transaction; others skip it. The caller removes it in that
   * transaction if it uses it.
   */
  async takeSpare(sparePool: SparePool): Promise<SpareRow | undefined> {
    const row = await this.#spares(sparePool, ['ready']).limit(1).forUpdate('spare').skipLocked().executeTakeFirst()
    return row && toSpare(sparePool, row)
  }

  async addSpare({ server, fingerprint }: SparePool, rowId: string, database: Identifier): Promise<void> {
    await this.#db
      .insertInto('spare')
      .columns(['row_id', 'fingerprint', 'database', 'server_id'])
      .expression((eb) =>
        eb
          .selectFrom('server')
          .select([
            sql<string>`${rowId}::uuid`.as('row_id'),
            eb.val(fingerprint).as('fingerprint'),
            eb.val<string>(database).as('database'),
            'id',
          ])
          .where('name', '=', server),
      )
      .execute()
  }

  /** @returns false if the row was removed or discarded meanwhile */
  async finishSpare(rowId: string, oid: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('spare')
      .set({ state: 'ready', oid })
      .where('row_id', '=', rowId)
      .where('state', '=', 'filling')
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  /**
   * Marks spares for dropping; they are not used from now on. It waits for a spare that is being claimed at this
   * moment, which is no spare afterwards.
   */
  async discardSpares(rowIds: readonly string[]): Promise<void> {
    if (rowIds.length === 0) return
    await this.#db.updateTable('spare').set({ state: 'dropping' }).where('row_id', 'in', rowIds).execute()
  }

  async removeSpare(rowId: string): Promise<void> {
    await this.#db
      .with('forgotten', (db) => db.deleteFrom('credential').where('row_id', '=', rowId))
      .deleteFrom('spare')
      .where('row_id', '=', rowId)
      .execute()
  }

  /** All pools that anything is on. */
  async counts(): Promise<SpareCount[]> {
    const counted = (kind: 'template' | 'spare') =>
      this.#db
        .selectFrom(kind)
        .innerJoin('server', 'server.id', `${kind}.server_id`)
        .innerJoin('version', 'version.fingerprint', `${kind}.fingerprint`)
        .select((eb) => [
          sql<'template' | 'spare'>`${sql.lit(kind)}`.as('kind'),
          'server.name as server',
          'version.number as version',
          'version.fingerprint as fingerprint',
          sql<TemplateState | SpareState>`${sql.ref(`${kind}.state`)}`.as('state'),
          eb.fn.countAll<string>().as('count'),
        ])
        .groupBy(['server.name', 'version.number', 'version.fingerprint', sql.ref(`${kind}.state`)])
    const rows = await counted('template').unionAll(counted('spare')).orderBy('server').orderBy('version').execute()
    return rows.map((row) => ({ ...row, count: Number(row.count) }) as SpareCount)
  }

  /**
   * Returns the number of spares of a version that are ready on each server, by its name; servers without any are left
   * out.
   */
  async readySpares(fingerprint: string): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#db
      .selectFrom('spare')
      .innerJoin('server', 'server.id', 'spare.server_id')
      .select((eb) => ['server.name', eb.fn.countAll<string>().as('count')])
      .where('fingerprint', '=', fingerprint)
      .where('spare.state', '=', 'ready')
      .groupBy('server.name')
      .execute()
    return new Map(rows.map(({ name, count }) => [name, Number(count)]))
  }

  /** True if any tenant has this version, on any server, in service or archived. */
  async isNeeded(fingerprint: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('tenant')
      .select('row_id')
      .where('fingerprint', '=', fingerprint)
      .limit(1)
      .executeTakeFirst()
    return row !== undefined
  }

  #spares(sparePool: SparePool, states: readonly SpareState[]) {
    return this.#db
      .selectFrom('spare')
      .innerJoin('server', 'server.id', 'spare.server_id')
      .select(['spare.row_id', 'spare.database', 'spare.state', 'spare.oid'])
      .where('server.name', '=', sparePool.server)
      .where('spare.fingerprint', '=', sparePool.fingerprint)
      .where('spare.state', 'in', states)
      .orderBy('spare.created_at')
  }
}

function toSpare(
  sparePool: SparePool,
  row: { readonly row_id: string; readonly database: string; readonly state: SpareState; readonly oid: number | null },
): SpareRow {
  // The catalog holds only names that were checked on their way in.
  const database = row.database as Identifier
  return { ...sparePool, rowId: row.row_id, database, state: row.state, oid: row.oid ?? undefined }
}
