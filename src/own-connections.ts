import type { Cancellable } from './kernel/abort.ts'
import { physicalNames } from './kernel/names.ts'
import type { CheckedConfig } from './read-config.ts'
import { administrationPool } from './provisioning/locks/administration.ts'
import type { ProvisioningContext } from './provisioning/context.ts'
import type { ConnectionPool, Server, Session, SessionPool } from './server/port.ts'

/** The number of connections that a process has for look-ups in the catalog. */
export const catalogConnections = 3

type Place = Pick<ProvisioningContext, 'home' | 'servers' | 'installation'> &
  Pick<CheckedConfig<unknown>, 'concurrency'>

/** The connections of a process that belong to no tenant. */
export class OwnConnections {
  /** For look-ups in the catalog. */
  readonly catalog: ConnectionPool
  /** For claims. A claim may wait for a lock, and must not delay look-ups for other tenants. */
  readonly claims: ConnectionPool
  /** For administration: as many as verbs may run at once. */
  readonly #sessions: ReadonlyMap<Server, SessionPool>

  constructor(place: Place) {
    const { home, servers, installation, concurrency } = place
    const database = physicalNames.catalog(installation)
    // A claim waits for another one of the same id; at a stricter level it would fail.
    const isolation = { isolationLevel: 'read committed' } as const
    this.catalog = home.pool(database, catalogConnections, isolation)
    this.claims = home.pool(database, concurrency, isolation)
    this.#sessions = new Map(
      [...new Set([home, ...servers.values()])].map((server) => [
        server,
        administrationPool(place, server, concurrency),
      ]),
    )
  }

  /** Opens a session for administration on one of the servers. */
  session(server: Server, options: Cancellable): Promise<Session> {
    return (this.#sessions.get(server) as SessionPool).connect(options)
  }

  async end(): Promise<void> {
    await Promise.all([this.catalog, this.claims, ...this.#sessions.values()].map((pool) => pool.end()))
  }
}
