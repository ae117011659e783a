import { TenantryError } from '../kernel/errors.ts'
import { type Identifier, type Installation, physicalNames } from '../kernel/names.ts'
import type { Catalog, TenantRow } from '../catalog/catalog.ts'
import type { Models } from '../models/port.ts'
import type { Server, Session } from '../server/port.ts'
import { readStamp, type Stamp, writeStamp } from '../server/stamp.ts'
import { makeTables } from './create-tables.ts'

/** What a tenant's database is made from. */
export interface DatabaseRecipe {
  readonly installation: Installation
  readonly installationId: string
  readonly models: Models<unknown>
  readonly fingerprint: string
}

/** The making of one tenant's database, step by step; whoever makes it holds the tenant's lock. */
export class TenantDatabase {
  readonly #recipe: DatabaseRecipe
  readonly #server: Server
  readonly #admin: Session
  readonly #row: TenantRow

  /** @param admin a session on the server, in any database but the one to be made */
  constructor(recipe: DatabaseRecipe, server: Server, admin: Session, row: TenantRow) {
    this.#recipe = recipe
    this.#server = server
    this.#admin = admin
    this.#row = row
  }

  get rowId(): string {
    return this.#row.rowId
  }

  /**
   * Looks whether the name is taken.
   *
   * @returns the fingerprint the database was made for, if an earlier call got as far as giving it its name
   * @throws `foreign-database`, after taking back all that was made, when the name is somebody else's
   */
  async findNamed(catalog: Catalog): Promise<string | undefined> {
    const { database, rowId, id } = this.#row
    const found = await this.#server.describe(this.#admin, database)
    if (found === undefined) return undefined
    const stamp = readStamp(found.comment)
    const isOurs = stamp?.row === rowId && stamp.installation === this.#recipe.installationId
    if (isOurs && stamp.kind === 'tenant') return stamp.fingerprint
    // The row is what knows the name of a building database; it must not outlive the row.
    await this.#admin.query(this.#server.dropStatement(this.#building))
    await catalog.withdraw(rowId)
    throw new TenantryError('foreign-database', `The database ${database} is there and is not ours.`, {
      tenant: id,
      hint: `It was not touched. Rename it, or onboard the tenant under another id.`,
    })
  }

  /**
   * Makes the database under its building name, with all its tables, and verifies it. One that an interrupted call left
   * may have been made for other models: it is dropped, which its random name permits.
   */
  async build(signal: AbortSignal | undefined): Promise<void> {
    const building = this.#building
    if (!(await this.#create(building))) {
      await this.#admin.query(this.#server.dropStatement(building))
      await this.#create(building)
    }
    await this.#admin.query(this.#server.commentStatement(building, this.#stamp('building')))
    const session = await this.#server.connect(building, { signal })
    try {
      await makeTables(session, this.#recipe.models)
    } finally {
      await session.close()
    }
  }

  /**
   * Gives the database its final name and stamp, in the transaction that `commit` makes around it.
   *
   * @throws `foreign-database` when somebody took the name meanwhile
   */
  async takeName(catalog: Catalog, commit: (name: () => Promise<void>) => Promise<void>): Promise<void> {
    const { database } = this.#row
    const statements = [
      this.#server.renameStatement(this.#building, database),
      this.#server.commentStatement(database, this.#stamp('tenant')),
    ]
    try {
      await commit(() => this.#admin.script(statements))
    } catch (error) {
      if (error instanceof TenantryError && nameTaken.has(error.sqlState)) await this.findNamed(catalog)
      throw error
    }
  }

  /** From template0, so that nothing is in it but what the models declare. */
  #create(building: Identifier): Promise<boolean> {
    return this.#server.create(this.#admin, building, { template: 'template0' })
  }

  get #building() {
    return physicalNames.building(this.#recipe.installation, this.#row.rowId)
  }

  #stamp(kind: Stamp['kind']): string {
    const { installationId, fingerprint } = this.#recipe
    return writeStamp({ installation: installationId, kind, row: this.#row.rowId, fingerprint })
  }
}

/** RENAME to a name that is there, or since a moment. */
const nameTaken: ReadonlySet<string | undefined> = new Set(['42P04', '23505'])
