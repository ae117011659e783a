import type { Cancellable } from './kernel/abort.ts'
import type { Logger } from './kernel/logger.ts'
import { checkServers, type ConfiguredServers } from './read-config.ts'
import type { Server } from './server/port.ts'
import { postgres } from './server/postgres/postgres.ts'

/** The servers of an installation. */
export interface Servers {
  /** The server that the catalog is on. */
  readonly home: Server
  /** The servers of tenants' databases; `home` may be among them. */
  readonly servers: readonly Server[]
}

/** Returns every server of an installation, the catalog's as well. */
export function allServers({ home, servers }: Servers): readonly Server[] {
  return servers.includes(home) ? servers : [home, ...servers]
}

interface ServerSearch extends Cancellable {
  readonly baseDir?: string
  readonly logger: Logger
}

/**
 * Returns the servers, and a function that stops those started for this. If none is configured, DATABASE_URL names one;
 * without it, an embedded PostgreSQL is started.
 *
 * @param create makes the embedded one if the project has none yet
 * @throws `catalog-missing` if it may not be made, `invalid-option`
 */
export async function findServers(
  { servers: configured, catalog, ...search }: ConfiguredServers & ServerSearch,
  { create }: { readonly create: boolean },
): Promise<Servers & { readonly stop: () => Promise<void> }> {
  const { servers, stop = async () => undefined } = configured ? { servers: configured } : await found(search, create)
  checkServers({ servers, catalog })
  return { home: catalog.server ?? (servers[0] as Server), servers, stop }
}

async function found(
  search: ServerSearch,
  create: boolean,
): Promise<{ readonly servers: readonly Server[]; readonly stop?: () => Promise<void> }> {
  const url = process.env['DATABASE_URL']
  if (url !== undefined && url !== '') return { servers: [postgres({ url })] }
  // Loaded only here, so that production never reads a line of it.
  const { developmentServer } = await import('./embedded/index.ts')
  const { baseDir, logger, signal } = search
  const embedded = await developmentServer({ baseDir, create, logger, signal })
  return { servers: [postgres({ url: embedded.url })], stop: () => embedded.stop() }
}
