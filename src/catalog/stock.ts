import { type Kysely, sql } from 'kysely'
import type { Identifier } from '../kernel/names.ts'
import type { ConnectionPool } from '../server/port.ts'
import type { Authorship } from './audit.ts'
import { type Claim, type Claimed, claimSpare } from './claim.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import type { CatalogTables, SpareState, TemplateState } from './tables.ts'

/** Where templates and spares belong: one server, one version of the models. */
export interface Shelf {
  /** The name of the server. */
  readonly server: string
  readonly fingerprint: string
}

/** A template as the catalog knows it. */
export interface TemplateRow extends Shelf {
  readonly rowId: string
  readonly state: TemplateState
  /** Of its structure, once it is ready. */
  readonly digest: string | undefined
}

/** What is known of a template once it is built. */
export interface FinishedTemplate {
  readonly digest: string
  readonly fingerprint: string
  /** The major version of its server. */
  readonly majorVersion: number
  /** What it consists of, as text that only provisioning reads. */
  readonly structure: string
}

/** A spare as the catalog knows it. */
export interface SpareRow extends Shelf {
  readonly rowId: string
  readonly database: Identifier
  readonly state: SpareState
  /** The server's number of the database, once it is ready. */
  readonly oid: number | undefined
}

/** How much of something is on a shelf, in one state. */
export type ShelfCount = Shelf & {
  /** The version's running number. */
  readonly version: number
  readonly count: number
} & (
    | { readonly kind: 'template'; readonly state: TemplateState }
    | { readonly kind: 'spare'; readonly state: SpareState }
  )

/** The catalog's records of templates and spares, over a pool or over one session. */
export class Stock {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** The template to clone from; undefined where none is ready. */
  async readyTemplate(shelf: Shelf): Promise<TemplateRow | undefined> {
    const [row] = await this.templates(shelf, ['ready'])
    return row
  }

  async templates(shelf: Shelf, states: readonly TemplateState[]): Promise<TemplateRow[]> {
    const rows = await this.#db
      .selectFrom('template')
      .innerJoin('server', 'server.id', 'template.server_id')
      .select(['template.row_id', 'template.state', 'template.digest'])
      .where('server.name', '=', shelf.server)
      .where('template.fingerprint', '=', shelf.fingerprint)
      .where('template.state', 'in', states)
      .execute()
    return rows.map(({ row_id, state, digest }) => ({ ...shelf, rowId: row_id, state, digest: digest ?? undefined }))
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

  async addTemplate({ server, fingerprint }: Shelf, rowId: string): Promise<void> {
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
   * Marks a template as ready, and stores what it consists of with its version.
   *
   * @returns false when the row was taken away or set apart meanwhile
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

  /** What a version consists of, in the words of each major version of the servers that it has a template on. */
  async structures(fingerprint: string): Promise<ReadonlyMap<number, string>> {
    const rows = await this.#db
      .selectFrom('structure')
      .select(['major_version', 'structure'])
      .where('fingerprint', '=', fingerprint)
      .execute()
    return new Map(rows.map(({ major_version, structure }) => [major_version, structure]))
  }

  /** From now on nobody uses it. */
  async discardTemplate(rowId: string): Promise<void> {
    await this.#db.updateTable('template').set({ state: 'dropping' }).where('row_id', '=', rowId).execute()
  }

  async removeTemplate(rowId: string): Promise<void> {
    await this.#db.deleteFrom('template').where('row_id', '=', rowId).execute()
  }

  /** Makes a tenant of a spare on the catalog's own server, or says why not. */
  claim(claim: Claim, authorship: Authorship): Promise<Claimed> {
    return claimSpare(this.#db, claim, authorship)
  }

  /** Spares in these states, the oldest first. */
  async spares(shelf: Shelf, states: readonly SpareState[]): Promise<SpareRow[]> {
    const rows = await this.#spares(shelf, states).execute()
    return rows.map((row) => toSpare(shelf, row))
  }

  /**
   * Takes the oldest spare for as long as the open transaction lasts; others pass it over. Whoever uses it removes it in
   * that transaction.
   */
  async takeSpare(shelf: Shelf): Promise<SpareRow | undefined> {
    const row = await this.#spares(shelf, ['ready']).limit(1).forUpdate('spare').skipLocked().executeTakeFirst()
    return row && toSpare(shelf, row)
  }

  async addSpare({ server, fingerprint }: Shelf, rowId: string, database: Identifier): Promise<void> {
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

  /** @returns false when the row was taken away or set apart meanwhile */
  async finishSpare(rowId: string, oid: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('spare')
      .set({ state: 'ready', oid })
      .where('row_id', '=', rowId)
      .where('state', '=', 'filling')
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  /** From now on nobody uses them; one that is being claimed at this moment is waited for, and gone then. */
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

  /** All shelves that anything is on. */
  async counts(): Promise<ShelfCount[]> {
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
    return rows.map((row) => ({ ...row, count: Number(row.count) }) as ShelfCount)
  }

  /** How many spares of a version are ready on each server, by its name; servers without any are left out. */
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

  /** Whether any tenant has this version, on whatever server, be it in service or set aside. */
  async isNeeded(fingerprint: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('tenant')
      .select('row_id')
      .where('fingerprint', '=', fingerprint)
      .limit(1)
      .executeTakeFirst()
    return row !== undefined
  }

  #spares(shelf: Shelf, states: readonly SpareState[]) {
    return this.#db
      .selectFrom('spare')
      .innerJoin('server', 'server.id', 'spare.server_id')
      .select(['spare.row_id', 'spare.database', 'spare.state', 'spare.oid'])
      .where('server.name', '=', shelf.server)
      .where('spare.fingerprint', '=', shelf.fingerprint)
      .where('spare.state', 'in', states)
      .orderBy('spare.created_at')
  }
}

function toSpare(
  shelf: Shelf,
  row: { readonly row_id: string; readonly database: string; readonly state: SpareState; readonly oid: number | null },
): SpareRow {
  // The catalog holds only names that were checked on their way in.
  const database = row.database as Identifier
  return { ...shelf, rowId: row.row_id, database, state: row.state, oid: row.oid ?? undefined }
}
