import type { TenantRow } from '../../dist/catalog/tenant.js'
import type { Identifier } from '../../dist/kernel/names.js'
import type { BudgetServer } from '../../dist/routing/server-budget.js'
import type { ServerConnection } from '../../dist/server/port.js'
import { identifier, tenantId } from '../support/names.ts'

/** A server whose connections exist in memory, and the number of those that are open at once. */
export class FakeServer implements BudgetServer {
  readonly name = 'fake'
  readonly maxConnections = 6
  open = async (database: Identifier): Promise<ServerConnection> => {
    if (this.refusing) throw new Error('refused')
    this.now++
    this.peak = Math.max(this.peak, this.now)
    const connection = new FakeConnection(database, () => this.now--)
    if (this.stillborn) connection.end()
    return connection
  }
  cancel = async () => undefined
  examine = async () => 'busy' as const
  refusing = false
  stillborn = false
  now = 0
  peak = 0
}

/** A connection in memory, whose state the test sets. */
export class FakeConnection implements ServerConnection {
  readonly processID = undefined
  broken = false
  transaction = false
  traffic = 0
  isAwaited = false
  readonly #listeners: (() => void)[] = []
  readonly database: Identifier
  constructor(database: Identifier, onEnd: () => void) {
    this.database = database
    this.#listeners.push(onEnd)
  }
  inTransaction = () => this.transaction
  rollback = async () => {
    this.transaction = false
  }
  reset = async () => undefined
  getTypeParser = () => (text: string) => text
  setTypeParser = () => undefined
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
  cut = () => this.end()
  end() {
    if (this.broken) return
    this.broken = true
    for (const listener of this.#listeners.splice(0)) listener()
  }
}

/** Returns an active tenant whose database and row have its id as their names. */
export function to(tenant: string): TenantRow {
  return {
    id: tenantId(tenant),
    database: identifier(tenant),
    rowId: tenant,
    displayName: undefined,
    metadata: {},
    state: 'active',
    stateSince: new Date(0),
    server: 'fake',
    fingerprint: undefined,
    version: undefined,
    createdAt: new Date(0),
    activatedAt: new Date(0),
    purgeAfter: undefined,
    origin: 'models',
    source: undefined,
    restingState: undefined,
    transition: 1,
    credential: undefined,
  }
}

/** Returns a connection of a {@link FakeServer} as what it is. */
export function fake(connection: unknown): FakeConnection {
  if (connection instanceof FakeConnection) return connection
  throw new TypeError('It is no connection of a fake server.')
}
