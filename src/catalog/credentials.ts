import { type Kysely, sql } from 'kysely'
import type { ConnectionPool } from '../server/port.ts'
import { openCatalogDatabase } from './open-catalog-database.ts'
import type { CatalogTables } from './tables.ts'

/** The catalog's records of passwords, all encrypted: of each tenant and spare that has a role of its own. */
export class Credentials {
  readonly #db: Kysely<CatalogTables>

  constructor(pool: ConnectionPool) {
    this.#db = openCatalogDatabase(pool)
  }

  /** Keeps a password that is set by the same transaction, or was. */
  async put(rowId: string, sealed: string): Promise<void> {
    const value = { sealed, pending: null, changed_at: sql<Date>`now()` }
    await this.#db
      .insertInto('credential')
      .values({ row_id: rowId, ...value })
      .onConflict((conflict) => conflict.column('row_id').doUpdateSet(value))
      .execute()
  }

  /** Keeps a password that is about to be set, besides the one in force until then. */
  async setPending(rowId: string, pending: string): Promise<void> {
    await this.#db.updateTable('credential').set({ pending }).where('row_id', '=', rowId).execute()
  }

  /** Credentials in the order of their rows, at most `limit`, those after `after`. */
  page(limit: number, after: string | undefined) {
    const page = this.#db.selectFrom('credential').select(['row_id', 'sealed']).orderBy('row_id').limit(limit)
    return (after === undefined ? page : page.where('row_id', '>', after)).execute()
  }

  /** Puts another wording of the same password in the place of one, unless it was changed meanwhile. */
  async reword(rowId: string, from: string, to: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('credential')
      .set({ sealed: to })
      .where('row_id', '=', rowId)
      .where('sealed', '=', from)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
}
