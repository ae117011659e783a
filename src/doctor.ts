import { type Cancellable, throwIfAborted } from './kernel/abort.ts'
import { cancellable, type Checks, readOptions, trueOrFalse } from './kernel/options.ts'
import { checkServers, configChecks, findServers, withDefaults, type TenantryConfig } from './config.ts'
import type { ServerDiagnosis } from './server/diagnosis.ts'

/**
 * The part of a configuration that {@link doctor} needs; a whole one is accepted. Without a server, it is found as by
 * `openTenantry`.
 */
export type DoctorConfig = Pick<
  TenantryConfig<unknown>,
  | 'server'
  | 'servers'
  | 'installation'
  | 'roles'
  | 'extensions'
  | 'onboardingConcurrency'
  | 'baseDir'
  | 'announce'
  | 'signal'
>

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
export async function doctor(config: DoctorConfig, options: DoctorOptions = {}): Promise<Diagnosis> {
  const read = readOptions<DoctorConfig>('The configuration', config, configChecks)
  checkServers(read)
  const { roles, installation, extensions, onboardingConcurrency } = withDefaults(read)
  const { probe = true, signal = read.signal } = readOptions('doctor', options, doctorChecks)
  throwIfAborted(signal)
  const { servers, stop } = await findServers({ ...read, ...(signal !== undefined && { signal }) }, { create: false })
  try {
    const request = { installation, roles, extensions, probe, signal }
    const examining = servers.map((server, index) => {
      const connections = server.maxConnections + 4 * onboardingConcurrency + (index === 0 ? catalogConnections : 0)
      return server.diagnose({ ...request, connections })
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

const doctorChecks: Checks<DoctorOptions> = { probe: trueOrFalse, ...cancellable }
