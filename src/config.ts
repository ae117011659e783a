import type { Cancellable } from './kernel/abort.ts'
import { TenantryError } from './kernel/errors.ts'
import { type Installation, parseInstallation } from './kernel/names.ts'
import { positiveInteger, refuseUnknownOptions } from './kernel/options.ts'
import type { Models } from './models/port.ts'
import type { Server } from './server/port.ts'
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
  /** Keeps apart what several services have on one server. Default `tenantry`. */
  readonly installation?: string
  /** How long a tenant's work waits for a connection while all are busy, in milliseconds. Default 10,000. */
  readonly connectionWaitMs?: number
  /** How many tenants this process onboards at once; each takes two connections beside `maxConnections`. Default 4. */
  readonly onboardingConcurrency?: number
  /** How long to wait for another process that onboards the same tenant or makes the catalog. Default 60,000. */
  readonly lockTimeoutMs?: number
  /** Where notices go, such as that an embedded server is used. Default: standard error. */
  readonly announce?: (notice: string) => void
}

/** A configuration that was checked, with its defaults. */
export interface CheckedConfig<Handle> {
  readonly installation: Installation
  readonly models: Models<Handle>
  readonly connectionWaitMs: number
  readonly lockTimeoutMs: number
  readonly onboardingConcurrency: number
}

const knownOptions = [
  'models',
  'server',
  'servers',
  'installation',
  'connectionWaitMs',
  'lockTimeoutMs',
  'onboardingConcurrency',
  'announce',
  'signal',
]

/** Checks a configuration before anything is touched. @throws `invalid-option` */
export function checkConfig<Handle>(config: TenantryConfig<Handle>): CheckedConfig<Handle> {
  refuseUnknownOptions('openTenantry', config, knownOptions)
  checkModels(config.models)
  checkServers(config)
  return {
    installation: parseInstallation(config.installation ?? 'tenantry'),
    models: config.models,
    connectionWaitMs: positiveInteger('connectionWaitMs', config.connectionWaitMs ?? 10_000),
    lockTimeoutMs: positiveInteger('lockTimeoutMs', config.lockTimeoutMs ?? 60_000),
    onboardingConcurrency: positiveInteger('onboardingConcurrency', config.onboardingConcurrency ?? 4),
  }
}

/**
 * The servers to use, the catalog's first, and what ends them if they were started for this. Where none is configured,
 * DATABASE_URL names one; without it, an embedded PostgreSQL is started.
 */
export async function findServers(
  config: TenantryConfig<unknown>,
): Promise<{ servers: readonly [Server, ...Server[]]; stop: () => Promise<void> }> {
  const [first, ...others] = config.servers ?? (config.server === undefined ? [] : [config.server])
  if (first !== undefined) return { servers: [first, ...others], stop: async () => undefined }
  const url = process.env['DATABASE_URL']
  if (url !== undefined && url !== '') return { servers: [postgres({ url })], stop: async () => undefined }
  // Loaded only here, so that production never reads a line of it.
  const { developmentServer } = await import('./embedded/index.ts')
  const embedded = await developmentServer({ announce: config.announce, signal: config.signal })
  return { servers: [postgres({ url: embedded.url })], stop: () => embedded.stop() }
}

function checkModels(models: Models<unknown> | undefined): void {
  if (typeof models?.fingerprint === 'function') return
  throw new TenantryError('invalid-option', 'openTenantry needs models.', {
    hint: "Give it mikroOrm({ entities: [...] }) from 'tenantry/mikro-orm'.",
  })
}

function checkServers({ server, servers }: TenantryConfig<unknown>): void {
  if (server !== undefined && servers !== undefined) {
    throw new TenantryError('invalid-option', 'openTenantry takes either server or servers, not both.', {
      hint: 'Leave one of them out.',
    })
  }
  if ([server, ...(servers ?? [])].some((it) => it !== undefined && typeof it.connect !== 'function')) {
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
