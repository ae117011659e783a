import type { Identifier } from '../../dist/kernel/names.js'
import type { TenantRow } from '../../dist/catalog/tenant.js'

/** A server whose connections exist in memory, and the number of those that are open at once. */
export class FakeServer {
  readonly name = 'fake'
  open = async (database: string) => {
    if (this.refusing) throw new Error('refused')
    this.now++
    this.peak = Math.max(this.peak, this.now)
    const connection = new FakeConnection(database, () => this.now--)
    if (this.stillborn) connection.end()
    return connection
  }
  refusing = false
  stillborn = false
  now = 0
  peak = 0
}

export class FakeConnection {
  broken = false
  transaction = false
  readonly #listeners: (() => void)[] = []
  readonly database: string
  constructor(database: string, onEnd: () => void) {
    this.database = database
    this.#listeners.push(onEnd)
  }
  inTransaction = () => this.transaction
  rollback = async () => {
    this.transaction = false
  }
  /** True if it does not answer any more, without having reported its end. */
  silent = false
  asked = 0
  query = async () => {
    this.asked++
    if (this.silent) await new Promise<void>((_, reject) => this.onEnd(() => reject(new Error('ended'))))
  }
  onEnd = (listener: () => void) => {
    if (this.broken) listener()
    else this.#listeners.push(listener)
  }
  close = async () => this.end()
  end() {
    if (this.broken) return
    this.broken = true
    for (const listener of this.#listeners.splice(0)) listener()
  }
}

/** A tenant that has the name of its database. */
export const to = (database: Identifier) =>
  ({ id: database as string, database, rowId: database }) as unknown as TenantRow

/** Returns a connection of a {@link FakeServer}. */
export const fake = (connection: unknown) => connection as FakeConnection
