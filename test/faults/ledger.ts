import type { TenantState } from 'tenantry'
import type { Look, TenantRecord } from './records.ts'

/** A tenant's state, or that there is none. */
export type Standing = TenantState | 'none'

/** The expectations about one tenant. */
export interface Expected {
  /** The possible states: one if its last call was answered, several if it was not. */
  readonly standings: readonly Standing[]
  /** The server's number of its database, once it was acknowledged. */
  readonly oid?: number | undefined
  readonly rowId?: string | undefined
  /** The rows that were written into its database after it was acknowledged. */
  readonly marks: readonly string[]
}

/** The answers of calls, recorded beside Tenantry's own catalog. */
export class Ledger {
  readonly #expected = new Map<string, Expected>()
  /** The tenants of all databases there ever were, by the server's number. */
  readonly #owners = new Map<number, string>()
  readonly #violations: string[] = []

  get all(): ReadonlyMap<string, Expected> {
    return this.#expected
  }

  /** Returns the violations found during the recording. */
  takeViolations(): string[] {
    return this.#violations.splice(0)
  }

  /** Records that a tenant is in one of these states, and nothing else is certain. */
  unsure(id: string, standings: readonly Standing[]): void {
    const known = this.#expected.get(id)
    this.#expected.set(id, { ...known, marks: known?.marks ?? [], standings })
  }

  /** Records a tenant's state after an answer. */
  stands(id: string, standing: Standing): void {
    const known = standing === 'none' ? undefined : this.#expected.get(id)
    this.#expected.set(id, { ...known, marks: known?.marks ?? [], standings: [standing] })
  }

  /** Stops looking at a tenant. */
  forget(id: string): void {
    this.#expected.delete(id)
  }

  /** Records a tenant's state; the first time also its database, with a row in it. */
  async acknowledge(world: Look, id: string): Promise<void> {
    const row = await world.tenant(id)
    if (row === undefined) {
      this.#expected.set(id, { standings: ['none'], marks: [] })
      return
    }
    const known = this.#expected.get(id)
    if (known?.rowId === row.rowId && known.oid !== undefined) {
      this.#expected.set(id, { ...known, standings: [row.state] })
      return
    }
    this.#expected.set(id, { standings: [row.state], ...(await this.#enter(world, row)) })
  }

  /** Enters a new tenant: its database must never have been another's. */
  async #enter(world: Look, row: TenantRecord): Promise<Omit<Expected, 'standings'>> {
    const { id, rowId } = row
    const database = await databaseOf(world, row)
    if (database === undefined) {
      this.#violations.push(`${id} was acknowledged and has no database`)
      return { rowId, marks: [] }
    }
    const owner = this.#owners.get(database.oid)
    if (owner !== undefined && owner !== rowId)
      this.#violations.push(`the database ${database.name} was handed out twice`)
    this.#owners.set(database.oid, rowId)
    const mark = markOf(row)
    const marks = [...(await marksIn(world, database.name)), mark]
    // On the disk, even if the server would not wait for it.
    await world.sql(
      `set synchronous_commit = on; insert into user_account (name) values ('${mark}')`,
      undefined,
      database.name,
    )
    return { rowId, oid: database.oid, marks }
  }
}

/** The row that a tenant gets when it is acknowledged. */
export function markOf({ id, rowId }: Pick<TenantRecord, 'id' | 'rowId'>): string {
  return `mark ${id} ${rowId}`
}

/** The database that bears the stamp of a tenant's row. */
async function databaseOf(world: Look, { rowId }: Pick<TenantRecord, 'rowId'>) {
  return (await world.databases()).find(({ comment }) => comment?.includes(`"row":"${rowId}"`))
}

/** Returns the acknowledged rows in a database. */
export async function marksIn(world: Look, database: string): Promise<string[]> {
  const rows = await world.sql<{ name: string }>(
    `select name from user_account where name like 'mark %' order by id`,
    [],
    database,
  )
  return rows.map(({ name }) => name)
}
