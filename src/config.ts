import type { Cancellable } from './kernel/abort.ts'
import { TenantryError } from './kernel/errors.ts'
import { Keyring } from './kernel/keyring.ts'
import { type Identifier, type Installation, parseIdentifier, parseInstallation } from './kernel/names.ts'
import {
  cancellable,
  type Check,
  type Checks,
  days,
  durationMs,
  folder,
  functionOption,
  hasMethods,
  invalidOption,
  list,
  oneOf,
  part,
  positiveInteger,
  positiveMs,
  readOptions,
  trueOrFalse,
} from './kernel/options.ts'
import type { Models } from './models/port.ts'
import { requireModels } from './models/require-models.ts'
import type { Seed, TenantHook } from './provisioning/context.ts'
import { firstRevision } from './provisioning/version.ts'
import type { Server, SessionDefaults } from './server/port.ts'
import { postgres } from './server/postgres/postgres.ts'

/** The configuration of a Tenantry. */
export interface TenantryConfig<Handle> extends Cancellable {
  /** The models that every tenant's database has, by an adapter such as `mikroOrm(...)`. */
  readonly models: Models<Handle>
  /**
   * The server, as by `postgres({ url })`. Default: the one of DATABASE_URL; without that, and unless NODE_ENV is
   * `production`, an embedded PostgreSQL in `.tenantry/`.
   */
  readonly server?: Server
  /** Several servers; the catalog is on the first. */
  readonly servers?: readonly Server[]
  /**
   * The number of spares on each server: databases that wait to become tenants' databases. Default 0: each new tenant's
   * database is then copied on demand. A spare takes some 8 MB of disk.
   */
  readonly spares?: number
  /**
   * The initial data of every tenant: it runs once for each version and server, in the template that tenants are copied
   * from.
   */
  readonly seed?: Seed<Handle>
  /** PostgreSQL's extensions that every tenant's database has. */
  readonly extensions?: readonly string[]
  /** The revision of the seed, which Tenantry cannot read: change it whenever the seed changes. Default 1. */
  readonly revision?: string | number
  /**
   * The naming of new tenants' databases: `readable` by the tenant's id, `opaque` by a random number, since every role
   * of a server sees the names of all databases. Default `readable`.
   */
  readonly naming?: 'readable' | 'opaque'
  /**
   * `separate` gives each tenant a role of its own, which can connect to its own database alone, and read and write but
   * not change its tables; the role of the connection needs CREATEROLE for it. With `shared` all tenants' work runs as the
   * role of the connection. Default `separate`.
   */
  readonly roles?: 'separate' | 'shared'
  /**
   * The key that encrypts the passwords of those roles in the catalog: 32 random bytes in base64 (`openssl rand -base64
   * 32`), the same in every process. Several, separated by commas, to replace one: the first encrypts. Default:
   * TENANTRY_CREDENTIALS_KEY; without that, with a server of this machine and unless NODE_ENV is `production`, one that
   * is made in `.tenantry/`.
   */
  readonly credentialsKey?: string
  /**
   * Replaces a lost key: the catalog accepts this process's credentialsKey from now on, and no other. Passwords
   * encrypted with the lost one stay unreadable until `rotateCredentials`. For one opening alone. Default false.
   */
  readonly credentialsKeyLost?: boolean
  /**
   * Creates a missing catalog. With `false` opening fails with `catalog-missing` instead and leaves nothing behind, as
   * a `router` always does: for a process whose URL, if it is wrong, must not begin an empty installation. Default
   * true.
   */
  readonly createCatalog?: boolean
  /**
   * The folder of the project. Its `.tenantry/` holds the embedded server and the key for development. Default: the
   * working directory; for the command line, the folder of the configuration file.
   */
  readonly baseDir?: string
  /** The name of the installation, which separates several services on one server. Default `tenantry`. */
  readonly installation?: string
  /**
   * The mode of the process: `full` processes make and change tenants. A `router` only routes to existing ones: it
   * needs no privileges except to read the catalog and to connect to tenants' databases. Default `full`.
   */
  readonly mode?: 'full' | 'router'
  /**
   * Serves tenants whose version is older than this process's, or refuses them with `tenant-behind`. Default `serve`.
   */
  readonly whenBehind?: 'serve' | 'refuse'
  /**
   * A step of the service's own for every new tenant, before it is active: `handle` is the ORM's, on the tenant's
   * database. It runs again after a failure or a crash, so its effects elsewhere must be idempotent.
   */
  readonly initialise?: TenantHook<Handle>
  /**
   * A step that `clone` runs on every copy, unless a call brings its own: it removes data that must not be in a copy.
   */
  readonly anonymise?: TenantHook<Handle>
  /**
   * The defaults of tenants' sessions. Default: a statement may run for 30 seconds; for all else, the server's
   * settings.
   */
  readonly session?: SessionDefaults
  /** The time that queries and transactions under way have when a tenant is taken out of service. Default 10,000 ms. */
  readonly drainMs?: number
  /** The number of days for which an offboarded tenant is kept. Default 30. */
  readonly retentionDays?: number
  /** The longest wait of a tenant's work for a connection while all are busy, in milliseconds. Default 10,000. */
  readonly connectionWaitMs?: number
  /**
   * The part of a server's connections that one tenant may have at once in this process, above 0 and at most 1; rounded
   * up, and one in any case. Below 1 at least one is left for others, if there are two. Default 0.5.
   */
  readonly tenantShare?: number
  /**
   * The number of connections that a tenant's role may have at once on a server, including those of other programs:
   * PostgreSQL's CONNECTION LIMIT, set for new roles and for those whose credentials are rotated. Default: the part of
   * `maxConnections` that `tenantShare` allows, and 20 more.
   */
  readonly tenantConnectionLimit?: number
  /**
   * The time without an answer to a statement after which its connection is examined, in milliseconds; 0 for never. If
   * the server cannot be reached within its `connectTimeoutMs`, or is not working on the statement, the connection is
   * dropped and the statement fails. Default 10,000.
   */
  readonly connectionCheckMs?: number
  /**
   * Resets a connection in full (`DISCARD ALL`) when it is released, so that settings, temporary tables and prepared
   * statements do not last from one piece of work to the next of the same tenant. Default false: an open transaction is
   * rolled back. It costs a round trip each time.
   */
  readonly resetConnections?: boolean
  /**
   * The age at which a connection that was not released is reported by the event `lease-held`, in milliseconds; 0 for
   * never. Default 60,000.
   */
  readonly leaseWarningMs?: number
  /**
   * Records a stack trace for each lease, for that event, which takes some microseconds each time. If false, recording
   * begins once a lease has been held for half as long. Default: true unless NODE_ENV is `production`.
   */
  readonly traceLeases?: boolean
  /**
   * The number of tenants that this process makes or changes at once; each takes up to four connections besides
   * `maxConnections`. Default 4.
   */
  readonly onboardingConcurrency?: number
  /** The longest wait for another process that onboards the same tenant or makes the catalog. Default 60,000. */
  readonly lockTimeoutMs?: number
  /** Receives notices, such as that an embedded server is used. Default: standard error. */
  readonly announce?: (notice: string) => void
}

/** A configuration that was checked, with its defaults. */
export interface CheckedConfig<Handle> {
  readonly mode: 'full' | 'router'
  readonly whenBehind: 'serve' | 'refuse'
  readonly initialise: TenantHook<Handle> | undefined
  readonly anonymise: TenantHook<Handle> | undefined
  readonly spares: number
  readonly seed: Seed<Handle> | undefined
  readonly extensions: readonly Identifier[]
  readonly revision: string | number
  readonly naming: 'readable' | 'opaque'
  readonly roles: 'separate' | 'shared'
  readonly credentialsKeyLost: boolean
  readonly createCatalog: boolean
  readonly session: SessionDefaults
  readonly drainMs: number
  readonly retentionDays: number
  readonly installation: Installation
  readonly models: Models<Handle>
  readonly connectionWaitMs: number
  readonly tenantShare: number
  readonly tenantConnectionLimit: number | undefined
  readonly connectionCheckMs: number
  readonly resetConnections: boolean
  readonly leaseWarningMs: number
  readonly traceLeases: boolean
  readonly lockTimeoutMs: number
  readonly onboardingConcurrency: number
  readonly announce: (notice: string) => void
}

const tenantHook = 'It gets the handle on the new database, and the tenant: async (em, tenant) => { ... }'

function hook(hint: string): Check {
  return (option, value) => functionOption(option, value, hint)
}

/** The checks of a configuration, by its keys. */
export const configChecks = {
  models: (_, models) => {
    requireModels('openTenantry', models)
    return models
  },
  server: (_, server) => requireAnyServer(server),
  servers: requireServers,
  installation: (_, name) => parseInstallation(name as string),
  mode: oneOf(['full', 'router'], 'Leave it out for a process that onboards tenants.'),
  whenBehind: oneOf(['serve', 'refuse'], 'Leave it out to serve tenants of any version.'),
  spares: numberOfSpares,
  seed: hook('It gets the handle on the template: async (em) => { ... }'),
  extensions: (option, value) => list(option, value, "Write extensions: ['citext', ...].").map(parseExtension),
  revision: checkRevision,
  naming: oneOf(['readable', 'opaque'], 'Leave it out for readable names.'),
  roles: oneOf(['separate', 'shared'], 'Leave it out to give each tenant a role of its own.'),
  credentialsKey: (_, keys) => {
    Keyring.parse(keys as string)
    return keys
  },
  credentialsKeyLost: trueOrFalse,
  createCatalog: trueOrFalse,
  baseDir: folder,
  initialise: hook(tenantHook),
  anonymise: hook(tenantHook),
  session: (_, session) => readOptions('session', session as SessionDefaults, sessionChecks),
  drainMs: durationMs,
  retentionDays: days,
  connectionWaitMs: positiveMs,
  tenantShare: part,
  tenantConnectionLimit: positiveInteger,
  connectionCheckMs: durationMs,
  resetConnections: trueOrFalse,
  leaseWarningMs: durationMs,
  traceLeases: trueOrFalse,
  lockTimeoutMs: positiveMs,
  onboardingConcurrency: positiveInteger,
  announce: hook('It gets the notice as text: (notice) => { ... }'),
  ...cancellable,
} satisfies Checks<TenantryConfig<unknown>>

/**
 * Reads a configuration before anything is touched.
 *
 * @returns the configuration as given, and the values made of it, with the defaults
 * @throws `invalid-option`, `invalid-name`
 */
export function readConfig<Handle>(given: TenantryConfig<Handle>): {
  readonly config: TenantryConfig<Handle>
  readonly checked: CheckedConfig<Handle>
} {
  const config = readOptions('openTenantry', given, configChecks)
  requireModels('openTenantry', config.models)
  checkServers(config)
  checkPooledSession(config)
  return { config, checked: { ...withDefaults(config), models: config.models } }
}

/** Adds the defaults to a configuration; only `models` has none. */
export function withDefaults<Handle>(
  config: Omit<TenantryConfig<Handle>, 'models'>,
): Omit<CheckedConfig<Handle>, 'models'> {
  return {
    mode: config.mode ?? 'full',
    whenBehind: config.whenBehind ?? 'serve',
    initialise: config.initialise,
    anonymise: config.anonymise,
    spares: config.spares ?? 0,
    seed: config.seed,
    extensions: (config.extensions ?? []).map(parseExtension),
    revision: config.revision ?? firstRevision,
    naming: config.naming ?? 'readable',
    roles: config.roles ?? 'separate',
    credentialsKeyLost: config.credentialsKeyLost ?? false,
    createCatalog: (config.createCatalog ?? true) && config.mode !== 'router',
    session: { statementTimeoutMs: defaultStatementMs, ...config.session },
    drainMs: config.drainMs ?? 10_000,
    retentionDays: config.retentionDays ?? 30,
    installation: parseInstallation(config.installation ?? 'tenantry'),
    connectionWaitMs: config.connectionWaitMs ?? 10_000,
    tenantShare: config.tenantShare ?? 0.5,
    tenantConnectionLimit: config.tenantConnectionLimit,
    connectionCheckMs: config.connectionCheckMs ?? 10_000,
    resetConnections: config.resetConnections ?? false,
    leaseWarningMs: config.leaseWarningMs ?? 60_000,
    traceLeases: config.traceLeases ?? process.env['NODE_ENV'] !== 'production',
    lockTimeoutMs: config.lockTimeoutMs ?? 60_000,
    onboardingConcurrency: config.onboardingConcurrency ?? 4,
    announce: config.announce ?? announceOnStderr,
  }
}

function announceOnStderr(notice: string): void {
  process.stderr.write(`${notice}\n`)
}

/** True if a configuration names a server, so that none has to be found or started. */
export function isServerGiven({ server, servers }: Pick<TenantryConfig<unknown>, 'server' | 'servers'>): boolean {
  return server !== undefined || servers !== undefined
}

/**
 * Returns the servers, the catalog's first, and a function that stops those started for this. If none is configured,
 * DATABASE_URL names one; without it, an embedded PostgreSQL is started.
 *
 * @param create makes the embedded one if the project has none yet
 * @throws `catalog-missing` if it may not be made
 */
export async function findServers(
  config: Pick<TenantryConfig<unknown>, 'server' | 'servers' | 'baseDir' | 'announce' | 'signal'>,
  { create }: { readonly create: boolean },
): Promise<{ servers: readonly [Server, ...Server[]]; stop: () => Promise<void> }> {
  const [first, ...others] = config.servers ?? (config.server === undefined ? [] : [config.server])
  if (first !== undefined) return { servers: [first, ...others], stop: async () => undefined }
  const url = process.env['DATABASE_URL']
  if (url !== undefined && url !== '') return { servers: [postgres({ url })], stop: async () => undefined }
  // Loaded only here, so that production never reads a line of it.
  const { developmentServer } = await import('./embedded/index.ts')
  const { baseDir, announce, signal } = config
  const embedded = await developmentServer({ baseDir, create, announce, signal })
  return { servers: [postgres({ url: embedded.url })], stop: () => embedded.stop() }
}

/** The largest number of spares. Each is a database: more than these are a typing error. */
const mostSpares = 1_000

function numberOfSpares(option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= mostSpares) return value as number
  const hint = 'As many as tenants sign up within a few seconds at the busiest; 0, the default, for none.'
  throw invalidOption(option, `a whole number from 0 to ${mostSpares}`, hint)
}

function parseExtension(name: unknown): Identifier {
  return parseIdentifier(name as string, 'extension')
}

function checkRevision(option: string, revision: unknown): string | number {
  if (typeof revision === 'string' || Number.isFinite(revision)) return revision as string | number
  throw invalidOption(option, 'text or a number', 'Count it up whenever the seed changes.')
}

const sessionChecks: Checks<SessionDefaults> = {
  isolationLevel: oneOf(['read committed', 'repeatable read', 'serializable']),
  lockTimeoutMs: durationMs,
  statementTimeoutMs: durationMs,
  idleInTransactionTimeoutMs: durationMs,
  applicationName: (option, value) => parseIdentifier(value as string, `session.${option}`),
}

function checkPooledSession({
  session = {},
  server,
  servers = [],
}: Pick<TenantryConfig<unknown>, 'session' | 'server' | 'servers'>): void {
  const { applicationName: _, isolationLevel, ...timeouts } = session
  const isSet = isolationLevel !== undefined || Object.values(timeouts).some((ms = 0) => ms > 0)
  if (!isSet || ![server, ...servers].some((it) => it?.pooling === 'transaction')) return
  throw new TenantryError('invalid-option', 'A pooler in transaction mode keeps none of the settings in session.', {
    hint: 'Set it in PostgreSQL (ALTER ROLE ... SET, ALTER DATABASE ... SET), or use session mode. applicationName holds.',
  })
}

/** Methods that a server has and a pool of the driver has not. */
const serverMethods = ['connect', 'pool', 'sessionPool', 'open', 'diagnose', 'environment']

function requireAnyServer(server: unknown): Server {
  if (hasMethods(server, ...serverMethods)) return server as Server
  throw new TenantryError('invalid-option', 'A server in the configuration is not one.', {
    hint: "Make it with postgres({ url }) from 'tenantry/postgres'.",
  })
}

function requireServers(option: string, value: unknown): readonly Server[] {
  const hint = 'Write servers: [postgres({ name, url }), ...], or server for a single one.'
  return list(option, value, hint).map(requireAnyServer)
}

/** The default time limit of a tenant's statement, in milliseconds. */
const defaultStatementMs = 30_000

/** Checks that the servers of a configuration fit together. @throws `invalid-option` */
export function checkServers({ server, servers }: Pick<TenantryConfig<unknown>, 'server' | 'servers'>): void {
  if (server !== undefined && servers !== undefined) {
    throw new TenantryError('invalid-option', 'openTenantry takes either server or servers, not both.', {
      hint: 'Leave one of them out.',
    })
  }
  const names = servers?.map(({ name }) => name) ?? []
  if (servers?.length !== 0 && new Set(names).size === names.length) return
  throw new TenantryError('invalid-option', 'servers must have at least one server, each with a name of its own.', {
    hint: "Name them: postgres({ name: 'eu-1', url }).",
  })
}

/** Gives a configuration its type, for `tenantry.config.ts`: `export default defineConfig({ ... })`. */
export function defineConfig<Handle>(config: TenantryConfig<Handle>): TenantryConfig<Handle> {
  return config
}
