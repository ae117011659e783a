import type { Cancellable } from '../kernel/abort.ts'
import { TenantryError } from '../kernel/errors.ts'
import type { TenantId } from '../kernel/names.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { FleetCount } from '../catalog/opening-look.ts'
import type { Server, Session } from '../server/port.ts'
import { readStamp, type Stamp } from '../server/stamp.ts'

/**
 * What `openTenantry` found: the tenants in service (active or suspended), by the stamps on their databases. It asks each
 * server one question, however many tenants there are, and changes nothing.
 */
export interface StartUp {
  /** How many tenants are in service: active or suspended. */
  readonly tenants: number
  /** How many of them have this process's version, by the stamps on their databases. */
  readonly current: number
  /** How many have another version. */
  readonly behind: number
  /** Those whose databases are not on the server where the catalog has them; of more than 100, the first 100. */
  readonly missing: readonly TenantId[]
  /** The servers that did not answer, of whose tenants nothing is known but that they are. */
  readonly unreachable: readonly string[]
}

/** How long a server may take to be asked, in milliseconds: that one is down must not keep a service from starting. */
const answerMs = 3_000
const missingShown = 100

/** What is asked, and of whom. */
export interface Surveyed extends Cancellable {
  readonly catalog: Catalog
  readonly home: Server
  readonly servers: readonly Server[]
  readonly installationId: string
  readonly fingerprint: string
}

/**
 * Holds the tenants in the catalog against the stamps on the servers.
 *
 * @param atHome what was found on the server that the catalog is on
 */
export async function survey(atHome: FleetCount, surveyed: Surveyed): Promise<StartUp> {
  const { catalog, home, servers, fingerprint } = surveyed
  const others = servers.filter((server) => server !== home)
  if (others.length === 0) return { ...atHome, unreachable: [] }
  const answers = new Map(await Promise.all(others.map((server) => ask(server, surveyed))))
  const count = { tenants: atHome.tenants, current: atHome.current, behind: atHome.behind }
  const missing = [...atHome.missing]
  for (const { id, rowId, server } of await catalog.inServiceElsewhere(home.name)) {
    count.tenants++
    const stamps = answers.get(server)
    if (stamps === undefined) continue
    const stamp = stamps.get(rowId)
    if (stamp?.kind !== 'tenant') missing.push(id)
    else if (stamp.fingerprint === fingerprint) count.current++
    else count.behind++
  }
  const unreachable = others.map(({ name }) => name).filter((name) => answers.get(name) === undefined)
  return { ...count, missing: missing.toSorted().slice(0, missingShown), unreachable }
}

/** The stamps of an installation's databases on a server, by their rows; undefined where it does not answer. */
async function ask(
  server: Server,
  { installationId, signal }: Surveyed,
): Promise<[string, ReadonlyMap<string, Stamp> | undefined]> {
  const limit = AbortSignal.any([AbortSignal.timeout(answerMs), ...(signal === undefined ? [] : [signal])])
  try {
    const session = await server.connect(server.maintenanceDatabase, { signal: limit })
    try {
      return [server.name, await stampsOn(server, session, installationId)]
    } finally {
      await session.close()
    }
  } catch (error) {
    if (!(error instanceof TenantryError) || signal?.aborted) throw error
    return [server.name, undefined]
  }
}

async function stampsOn(server: Server, session: Session, installation: string): Promise<ReadonlyMap<string, Stamp>> {
  const databases = await server.commented(session, installation)
  const stamps = databases
    .map(({ comment }) => readStamp(comment))
    .filter((stamp) => stamp?.installation === installation)
  return new Map(stamps.flatMap((stamp) => (stamp === undefined ? [] : [[stamp.row, stamp]])))
}
