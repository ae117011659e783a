import type { Cancellable } from '../../kernel/abort.ts'
import { TenantryError } from '../../kernel/errors.ts'
import type { TenantId } from '../../kernel/names.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import type { FleetCount } from '../../catalog/opening-look.ts'
import type { Server, Session } from '../../server/port.ts'
import { withSession } from '../../server/with-session.ts'
import { readStamp, type Stamp } from '../../server/stamp.ts'

/**
 * The findings of `openTenantry`: the tenants in service (active or suspended), by the stamps on their databases. It
 * takes one query for each server, however many tenants there are, and changes nothing.
 */
export interface StartUp {
  /** The number of tenants in service: active or suspended. */
  readonly tenants: number
  /** The number of them with this process's version, by the stamps on their databases. */
  readonly current: number
  /** The number with a version that comes before the desired one. */
  readonly behind: number
  /** Tenants whose databases are not on the server where the catalog has them; of more than 100, the first 100. */
  readonly missing: readonly TenantId[]
  /** The servers that did not answer. Their tenants count, but nothing else is known of them. */
  readonly unreachable: readonly string[]
}

/** The time that a server has to answer, in milliseconds: a failed one must not keep a service from starting. */
const answerMs = 3_000
const missingShown = 100

/** The parameters of a survey. */
export interface Surveyed extends Cancellable {
  readonly catalog: Catalog
  readonly home: Server
  readonly servers: readonly Server[]
  readonly installationId: string
  readonly fingerprint: string
  /** The fingerprints of versions with which a tenant is not behind. */
  readonly upToDate: ReadonlySet<string>
}

/**
 * Compares the tenants in the catalog with the stamps on the servers.
 *
 * @param atHome the findings on the catalog's server
 */
export async function survey({ stamped, ...atHome }: FleetCount, surveyed: Surveyed): Promise<StartUp> {
  const { catalog, home, servers, fingerprint, upToDate } = surveyed
  const others = servers.filter((server) => server !== home)
  if (others.length === 0) return { ...atHome, unreachable: [] }
  const answers = new Map(await Promise.all(others.map((server) => answerOf(server, surveyed))))
  const count = { tenants: atHome.tenants, current: atHome.current, behind: atHome.behind }
  const missing = [...atHome.missing]
  for (const { id, rowId, server } of await catalog.inServiceElsewhere(home.name)) {
    count.tenants++
    const stamps = answers.get(server)
    if (stamps === undefined) continue
    const stamp = stamps.get(rowId)
    if (stamp?.kind !== 'tenant') missing.push(id)
    else {
      if (stamp.fingerprint === fingerprint) count.current++
      if (!upToDate.has(stamp.fingerprint)) count.behind++
    }
  }
  const unreachable = others.map(({ name }) => name).filter((name) => answers.get(name) === undefined)
  return { ...count, missing: missing.toSorted().slice(0, missingShown), unreachable }
}

/** Returns the stamps of an installation's databases on a server, by their rows; undefined if it does not answer. */
async function answerOf(
  server: Server,
  { installationId, signal }: Surveyed,
): Promise<[string, ReadonlyMap<string, Stamp> | undefined]> {
  const limit = AbortSignal.any([AbortSignal.timeout(answerMs), ...(signal === undefined ? [] : [signal])])
  try {
    const connecting = server.connect(server.maintenanceDatabase, { signal: limit })
    return await withSession(connecting, async (it) => [server.name, await stampsOn(server, it, installationId)])
  } catch (error) {
    if (!(error instanceof TenantryError) || signal?.aborted) throw error
    return [server.name, undefined]
  }
}

async function stampsOn(server: Server, session: Session, installation: string): Promise<ReadonlyMap<string, Stamp>> {
  const databases = await server.databases.commented(session, installation)
  const stamps = databases
    .map(({ comment }) => readStamp(comment))
    .filter((stamp) => stamp?.installation === installation)
  return new Map(stamps.flatMap((stamp) => (stamp === undefined ? [] : [[stamp.row, stamp]])))
}
