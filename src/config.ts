import type { Cancellable } from './kernel/abort.ts'
import { TenantryError } from './kernel/errors.ts'
import { Keyring } from './kernel/keyring.ts'
import { type Identifier, type Installation, parseIdentifier, parseInstallation } from './kernel/names.ts'
import { days, durationMs, folder, part, positiveInteger, refuseUnknownOptions, trueOrFalse } from './kernel/options.ts'
import { show } from './kernel/printable.ts'
import type { Models } from './models/port.ts'
import { requireModels } from './models/require-models.ts'
import type { Seed, TenantHook } from './provisioning/context.ts'
import { firstRevision } from './provisioning/version.ts'
import type { Server, SessionDefaults } from './server/port.ts'
import { postgres } from './server/postgres/server.ts'

/** What a Tenantry is opened with. */
export interface TenantryConfig<Handle> extends Cancellable {
  /** The models that every tenant's database has, by an adapter such as `mikroOrm(...)`. */
  readonly models: Models<Handle>
  /**
   * The server, as by `postgres({ url })`. Default: the one that DATABASE_URL names; without that, and unless NODE_ENV is
   * `production`, an embedded PostgreSQL in `.tenantry/`.
   */
  readonly server?: Server
  /** Several servers; the catalog is on the first. */
  readonly servers?: readonly Server[]
  /**
   * How many databases wait, on each server, to become tenants' databases. Default 0: each new tenant's database is then
   * copied when it is asked for. One takes some 8 MB of disk.
   */
  readonly spares?: number
  /** What every tenant begins with: it runs once for each version and server, in the template that tenants are copied from. */
  readonly seed?: Seed<Handle>
  /** PostgreSQL's extensions that every tenant's database has. */
  readonly extensions?: readonly string[]
  /** What stands for the seed, which cannot be read: change it whenever the seed changes. Default 1. */
  readonly revision?: string | number
  /**
   * How new tenants' databases are named: `readable` by the tenant's id, `opaque` by a random number, since every role of
   * a server sees the names of all databases. Default `readable`.
   */
  readonly naming?: 'readable' | 'opaque'
  /**
   * `separate` gives each tenant a role of its own, which can connect to its own database alone, and read and write but
   * not change its tables; the role of the connection needs CREATEROLE for it. With `shared` all tenants' work runs as the
   * role of the connection. Default `separate`.
   */
  readonly roles?: 'separate' | 'shared'
  /**
   * What the passwords of those roles are encrypted with in the catalog: 32 random bytes in base64 (`openssl rand -base64
   * 32`), the same in every process. Several, separated by commas, to replace one: the first encrypts. Default:
   * TENANTRY_CREDENTIALS_KEY; without that, with a server of this machine and unless NODE_ENV is `production`, one that
   * is made in `.tenantry/`.
   */
  readonly credentialsKey?: string
  /**
   * Replace a key that is lost: the catalog accepts this process's credentialsKey from now on, and no other. Passwords
   * encrypted with the lost one stay unreadable until `rotateCredentials`. For one opening alone. Default false.
   */
  readonly credentialsKeyLost?: boolean
  /**
   * Create the catalog where there is none. With `false` opening fails with `catalog-missing` instead and leaves nothing
   * behind, as a `router` always does: for a process whose URL, when it is wrong, must not begin an empty installation.
   * Default true.
   */
  readonly createCatalog?: boolean
  /**
   * The folder of the project: what is made for development, the embedded server and the key, is in its `.tenantry/`.
   * Default: the working directory; for the command line, the folder of the configuration file.
   */
  readonly baseDir?: string
  /** Keeps apart what several services have on one server. Default `tenantry`. */
  readonly installation?: string
  /**
   * `full` processes make and change tenants. A `router` only leads to those that are there: it needs no privilege but to
   * read the catalog and to connect to tenants' databases. Default `full`.
   */
  readonly mode?: 'full' | 'router'
  /**
   * Whether tenants whose version is older than this process's are worked on, or refused with `tenant-behind`. Default
   * `serve`.
   */
  readonly whenBehind?: 'serve' | 'refuse'
  /**
   * A step of the service's own for every new tenant, before it is active: `handle` is the ORM's, on the tenant's
   * database. It runs again after a failure or a crash, so it must be idempotent in what it does elsewhere.
   */
  readonly initialise?: TenantHook<Handle>
  /** What `clone` runs on every copy, unless a call brings its own: it takes out what must not be in it. */
  readonly anonymise?: TenantHook<Handle>
  /** What holds in tenants' sessions until they say otherwise. Default: what the server says. */
  readonly session?: SessionDefaults
  /** How long queries and transactions under way may take on a tenant taken out of service. Default 10,000 ms. */
  readonly drainMs?: number
  /** How many days an offboarded tenant is kept. Default 30. */
  readonly retentionDays?: number
  /** How long a tenant's work waits for a connection while all are busy, in milliseconds. Default 10,000. */
  readonly connectionWaitMs?: number
  /**
   * Which part of a server's connections one tenant may have at once in this process, above 0 and at most 1; one in any
   * case. Default 1: all, while no other tenant waits.
   */
  readonly tenantShare?: number
  /**
   * Whether a connection is reset in full (`DISCARD ALL`) when it is given back, so that settings, temporary tables and
   * prepared statements do not last from one piece of work to the next of the same tenant. Default false: an open
   * transaction is rolled back. It costs a round trip each time.
   */
  readonly resetConnections?: boolean
  /**
   * After how long a connection that was not given back is told of by the event `lease-held`, in milliseconds; 0 for
   * never. Default 60,000.
   */
  readonly leaseWarningMs?: number
  /**
   * Whether it is noted of every connection where it was asked for, for that event, which takes some microseconds each
   * time. Without, it is from when one has been held for half as long. Default: unless NODE_ENV is `production`.
   */
  readonly traceLeases?: boolean
  /**
   * How many tenants this process makes or changes at once; each takes up to four connections beside
   * `maxConnections`. Default 4.
   */
  readonly onboardingConcurrency?: number
  /** How long to wait for another process that onboards the same tenant or makes the catalog. Default 60,000. */
  readonly lockTimeoutMs?: number
  /** Where notices go, such as that an embedded server is used. Default: standard error. */
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
  readonly resetConnections: boolean
  readonly leaseWarningMs: number
  readonly traceLeases: boolean
  readonly lockTimeoutMs: number
  readonly onboardingConcurrency: number
}

/** Every key of a configuration. */
export const knownOptions = [
  'models',
  'server',
  'servers',
  'installation',
  'mode',
  'whenBehind',
  'spares',
  'seed',
  'extensions',
  'revision',
  'naming',
  'roles',
  'credentialsKey',
  'credentialsKeyLost',
  'createCatalog',
  'baseDir',
  'initialise',
  'anonymise',
  'session',
  'drainMs',
  'retentionDays',
  'connectionWaitMs',
  'tenantShare',
  'resetConnections',
  'leaseWarningMs',
  'traceLeases',
  'lockTimeoutMs',
  'onboardingConcurrency',
  'announce',
  'signal',
]

/** Checks a configuration before anything is touched. @throws `invalid-option` */
export function checkConfig<Handle>(config: TenantryConfig<Handle>): CheckedConfig<Handle> {
  if (typeof config !== 'object' || config === null) {
    throw new TenantryError('invalid-option', 'openTenantry needs a configuration.', {
      hint: 'Give it an object with at least models.',
    })
  }
  refuseUnknownOptions('openTenantry', config, knownOptions)
  requireModels('openTenantry', config.models)
  checkServers(config)
  checkMode(config.mode)
  checkWhenBehind(config.whenBehind)
  checkHook('initialise', config.initialise)
  checkHook('anonymise', config.anonymise)
  checkHook('seed', config.seed)
  checkNaming(config.naming)
  checkRoles(config)
  folder('baseDir', config.baseDir)
  const createCatalog = trueOrFalse('createCatalog', config.createCatalog ?? true)
  return {
    mode: config.mode ?? 'full',
    whenBehind: config.whenBehind ?? 'serve',
    initialise: config.initialise,
    anonymise: config.anonymise,
    spares: numberOfSpares(config.spares ?? 0),
    seed: config.seed,
    extensions: checkExtensions(config.extensions ?? []),
    revision: checkRevision(config.revision ?? firstRevision),
    naming: config.naming ?? 'readable',
    roles: config.roles ?? 'separate',
    credentialsKeyLost: trueOrFalse('credentialsKeyLost', config.credentialsKeyLost ?? false),
    createCatalog: createCatalog && config.mode !== 'router',
    session: checkSession(config.session ?? {}, [...(config.servers ?? []), ...(config.server ? [config.server] : [])]),
    drainMs: durationMs('drainMs', config.drainMs ?? 10_000),
    retentionDays: days('retentionDays', config.retentionDays ?? 30),
    installation: parseInstallation(config.installation ?? 'tenantry'),
    models: config.models,
    connectionWaitMs: durationMs(
      'connectionWaitMs',
      positiveInteger('connectionWaitMs', config.connectionWaitMs ?? 10_000),
    ),
    tenantShare: part('tenantShare', config.tenantShare ?? 1),
    resetConnections: trueOrFalse('resetConnections', config.resetConnections ?? false),
    leaseWarningMs: durationMs('leaseWarningMs', config.leaseWarningMs ?? 60_000),
    traceLeases: trueOrFalse('traceLeases', config.traceLeases ?? process.env['NODE_ENV'] !== 'production'),
    lockTimeoutMs: positiveInteger('lockTimeoutMs', config.lockTimeoutMs ?? 60_000),
    onboardingConcurrency: positiveInteger('onboardingConcurrency', config.onboardingConcurrency ?? 4),
  }
}

/** Whether a configuration names a server, so that none has to be found or started. */
export function isServerGiven({ server, servers }: Pick<TenantryConfig<unknown>, 'server' | 'servers'>): boolean {
  return server !== undefined || servers !== undefined
}

/**
 * The servers to use, the catalog's first, and what ends them if they were started for this. Where none is configured,
 * DATABASE_URL names one; without it, an embedded PostgreSQL is started.
 *
 * @param create make the embedded one where the project has none yet
 * @throws `catalog-missing` where it may not be made
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

function checkMode(mode: unknown): void {
  if (mode === undefined || mode === 'full' || mode === 'router') return
  throw new TenantryError('invalid-option', `mode must be "full" or "router", not ${show(mode)}.`, {
    hint: 'Leave it out for a process that onboards tenants.',
  })
}

function checkWhenBehind(whenBehind: unknown): void {
  if (whenBehind === undefined || whenBehind === 'serve' || whenBehind === 'refuse') return
  throw new TenantryError('invalid-option', `whenBehind must be "serve" or "refuse", not ${show(whenBehind)}.`, {
    hint: 'Leave it out to serve tenants whatever their version is.',
  })
}

function checkNaming(naming: unknown): void {
  if (naming === undefined || naming === 'readable' || naming === 'opaque') return
  throw new TenantryError('invalid-option', `naming must be "readable" or "opaque", not ${show(naming)}.`, {
    hint: 'Leave it out for readable names.',
  })
}

/** @throws `invalid-option` */
export function checkRoles({
  roles,
  credentialsKey,
}: Partial<Pick<TenantryConfig<unknown>, 'roles' | 'credentialsKey'>>): void {
  if (credentialsKey !== undefined) Keyring.parse(credentialsKey)
  const given: unknown = roles
  if (given === undefined || given === 'separate' || given === 'shared') return
  throw new TenantryError('invalid-option', `roles must be "separate" or "shared", not ${JSON.stringify(given)}.`, {
    hint: 'Leave it out to give each tenant a role of its own.',
  })
}

/** Each is a database: more than these are a slip of the finger. */
const mostSpares = 1_000

function numberOfSpares(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= mostSpares) return value
  throw new TenantryError('invalid-option', `spares must be a whole number from 0 to ${mostSpares}.`, {
    hint: 'As many as tenants sign up within a few seconds at the busiest; 0, the default, for none.',
  })
}

function checkExtensions(extensions: readonly string[]): readonly Identifier[] {
  if (isList(extensions)) return extensions.map((name) => parseIdentifier(name, 'extension'))
  throw new TenantryError('invalid-option', 'extensions must be a list of names.', {
    hint: "Write extensions: ['citext', ...].",
  })
}

function checkRevision(revision: unknown): string | number {
  if (typeof revision === 'string' || Number.isFinite(revision)) return revision as string | number
  throw new TenantryError('invalid-option', 'revision must be text or a number.', {
    hint: 'Count it up whenever the seed changes.',
  })
}

const tenantHookShape = 'It gets the handle on the new database, and the tenant: async (em, tenant) => { ... }'
const hookShapes = {
  initialise: tenantHookShape,
  anonymise: tenantHookShape,
  seed: 'It gets the handle on the template: async (em) => { ... }',
}

function checkHook(name: keyof typeof hookShapes, hook: unknown): void {
  if (hook === undefined || typeof hook === 'function') return
  throw new TenantryError('invalid-option', `${name} must be a function.`, {
    hint: hookShapes[name],
  })
}

function isList(value: unknown): boolean {
  return Array.isArray(value)
}

const isolationLevels: readonly unknown[] = ['read committed', 'repeatable read', 'serializable', undefined]
const sessionTimeouts = ['lockTimeoutMs', 'statementTimeoutMs', 'idleInTransactionTimeoutMs'] as const

function checkSession(session: SessionDefaults, servers: readonly Server[]): SessionDefaults {
  refuseUnknownOptions('session', session, [...sessionTimeouts, 'isolationLevel', 'applicationName'])
  if (!isolationLevels.includes(session.isolationLevel)) {
    throw new TenantryError('invalid-option', 'session.isolationLevel is none of PostgreSQL.', {
      hint: 'Use "read committed", "repeatable read" or "serializable".',
    })
  }
  for (const name of sessionTimeouts) durationMs(`session.${name}`, session[name] ?? 0)
  const isSet = session.isolationLevel !== undefined || sessionTimeouts.some((name) => (session[name] ?? 0) > 0)
  if (isSet && servers.some(({ pooling }) => pooling === 'transaction')) {
    throw new TenantryError(
      'invalid-option',
      'A pooler that lends by the transaction keeps nothing that session sets.',
      {
        hint: 'Set it in PostgreSQL (ALTER ROLE ... SET, ALTER DATABASE ... SET), or use session mode. applicationName holds.',
      },
    )
  }
  if (session.applicationName !== undefined) parseIdentifier(session.applicationName, 'session.applicationName')
  return session
}

/** Checks the servers of a configuration. @throws `invalid-option` */
export function checkServers({ server, servers }: Pick<TenantryConfig<unknown>, 'server' | 'servers'>): void {
  if (server !== undefined && servers !== undefined) {
    throw new TenantryError('invalid-option', 'openTenantry takes either server or servers, not both.', {
      hint: 'Leave one of them out.',
    })
  }
  if (servers !== undefined && !isList(servers)) {
    throw new TenantryError('invalid-option', 'servers must be a list.', {
      hint: 'Write servers: [postgres({ name, url }), ...], or server for a single one.',
    })
  }
  const given: readonly (Server | null | undefined)[] = [...(server === undefined ? [] : [server]), ...(servers ?? [])]
  if (given.some((it) => typeof it?.connect !== 'function')) {
    throw new TenantryError('invalid-option', 'A server in the configuration is not one.', {
      hint: "Make it with postgres({ url }) from 'tenantry/postgres'.",
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
