import * as v from 'valibot'
import { type Cancellable, throwIfAborted } from './kernel/abort.ts'
import { cancellable, type Entries, options, readOptions, trueOrFalse } from './kernel/options.ts'
import type { TenantryConfig } from './config.ts'
import { allServers, findServers } from './find-servers.ts'
import { checkServers, configEntries } from './read-config.ts'
import type { Models } from './models/port.ts'
import { tryModels } from './provisioning/tables/try-models.ts'
import type { ServerDiagnosis } from './server/diagnosis.ts'
import type { Server, Session } from './server/port.ts'

/**
 * The part of a configuration that {@link doctor} needs; a whole one is accepted. Without a server, it is found as by
 * `openTenantry`.
 */
export type DoctorConfig = Pick<
  TenantryConfig<never>,
  'servers' | 'catalog' | 'installation' | 'roles' | 'templates' | 'limits' | 'baseDir' | 'logger' | 'signal'
> & {
  /** If given, their tables are created in a scratch database of each server, and compared with them. */
  readonly models?: Models<unknown>
}

/** Options of {@link doctor}. */
export interface DoctorOptions extends Cancellable {
  /** Tries operations in scratch names, which are dropped afterwards. Default true; otherwise it only reads. */
  readonly probe?: boolean
}

/** The result of {@link doctor}. */
export interface Diagnosis {
  readonly installation: string
  readonly roles: 'separate' | 'shared'
  /** Every server can be reached, and nothing is missing there. There may be warnings. */
  readonly healthy: boolean
  /** In the order of the configuration. */
  readonly servers: readonly ServerDiagnosis[]
}

/**
 * Reports the capabilities of each server and its role, the missing privileges with the SQL that grants them, and
 * recommended changes: before an installation exists.
 *
 * Operations of Tenantry are tried, in names with a random number that are never used again, and all of it is removed,
 * also if the call fails or is aborted; the next call removes the remains of a killed process. An unreachable server is
 * in the diagnosis, with the error. If no server is configured, the project's embedded one is examined, but not created
 * for it.
 *
 * @throws `invalid-option`, `invalid-name`, `catalog-missing` if there is no server yet, `aborted`
 */
export async function doctor(config: DoctorConfig, given: DoctorOptions = {}): Promise<Diagnosis> {
  const read = readOptions('The configuration', configSchema, config)
  checkServers(read)
  const { installation, roles, templates, limits, models } = read
  const { probe, signal = read.signal } = readOptions('doctor', doctorSchema, given)
  throwIfAborted(signal)
  const trying = (server: Server) =>
    models && { tryModels: (session: Session) => tryModels(server, models.schema, session) }
  const { stop, ...found } = await findServers({ ...read, signal }, { create: false })
  try {
    const examining = allServers(found).map((server) => {
      const isHome = server === found.home
      // A server of the catalog alone needs no privileges for tenants.
      const ofTenants = found.servers.includes(server)
        ? { roles, extensions: templates.extensions, max: server.maxConnections, ...trying(server) }
        : { roles: 'shared' as const, extensions: [], max: 0 }
      const connections = ofTenants.max + 4 * limits.concurrency + (isHome ? catalogConnections : 0)
      return server.diagnose({ ...ofTenants, installation, probe, signal, connections })
    })
    // An aborted call ends when all of them have tidied up.
    await Promise.allSettled(examining)
    const diagnoses = await Promise.all(examining)
    const healthy = diagnoses.every((it) => it.reachable && it.missing.length === 0)
    return { installation, roles, healthy, servers: diagnoses }
  } finally {
    await stop()
  }
}

/**
 * The connections of a process besides those of tenants' work and verbs: three for queries to the catalog, and one that
 * listens.
 */
const catalogConnections = 4

const configSchema = options({ ...configEntries, models: v.exactOptional(configEntries.models) })

const doctorSchema = options({
  probe: v.exactOptional(trueOrFalse, true),
  ...cancellable,
} satisfies Entries<DoctorOptions>)
