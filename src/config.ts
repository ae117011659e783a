import type { Cancellable } from './kernel/abort.ts'
import type { Logger } from './kernel/logger.ts'
import type { Models } from './models/port.ts'
import type { Seed, TenantHook } from './provisioning/context.ts'
import type { Server, SessionDefaults } from './server/port.ts'

/** The configuration of a Tenantry. */
export interface TenantryConfig<Handle> extends Cancellable {
  /** The models that every tenant's database has, by an adapter such as `mikroOrm(...)`. */
  readonly models: Models<Handle>
  /**
   * The servers of tenants' databases, as by `[postgres({ url })]`. Default: the one of DATABASE_URL; without that, and
   * unless NODE_ENV is `production`, an embedded PostgreSQL in `.tenantry/`.
   */
  readonly servers?: readonly Server[]
  /** The place of the catalog. */
  readonly catalog?: {
    /** The catalog's server. One that is not among `servers` has no tenants. Default: the first of `servers`. */
    readonly server?: Server
    /**
     * Creates a missing catalog. With `false` opening fails with `catalog-missing` instead and leaves nothing behind, as
     * a `router` always does: for a process whose URL, if it is wrong, must not begin an empty installation. Default
     * true.
     */
    readonly create?: boolean
  }
  /** The name of the installation, which separates several services on one server. Default `tenantry`. */
  readonly installation?: string
  /**
   * The mode of the process: `full` processes make and change tenants. A `router` only routes to existing ones: it
   * needs no privileges except to read the catalog and to connect to tenants' databases. Default `full`.
   */
  readonly mode?: 'full' | 'router'
  /**
   * Allows work for tenants whose version is older than this process's, or refuses it with `tenant-behind`. `update` brings
   * such a tenant to this process's version at its first use, if that is the desired version and the plan has no hazard;
   * otherwise it refuses, as a `router` always does. Default `allow`.
   */
  readonly whenBehind?: 'allow' | 'refuse' | 'update'
  /**
   * The folder of the project. Its `.tenantry/` holds the embedded server and the key for development. Default: the
   * working directory; for the command line, the folder of the configuration file.
   */
  readonly baseDir?: string
  /** Receives notices, such as that an embedded server is used: `console`, a logger of pino. Default: standard error. */
  readonly logger?: Logger
  /** The templates that new tenants' databases are copied from. */
  readonly templates?: {
    /**
     * The number of spares on each server: databases that wait to become tenants' databases. Default 0: each new
     * tenant's database is then copied on demand. A spare takes some 8 MB of disk.
     */
    readonly spares?: number
    /** The initial data of every tenant: it runs once for each version and server, in the template. */
    readonly seed?: Seed<Handle>
    /** The revision of the seed, which Tenantry cannot read: change it whenever the seed changes. Default 1. */
    readonly revision?: string | number
    /** PostgreSQL's extensions that every tenant's database has. Default: none. */
    readonly extensions?: readonly string[]
  }
  /**
   * `separate` gives each tenant a role of its own, which can connect to its own database alone, and read and write but
   * not change its tables; the role of the connection needs CREATEROLE for it. With `shared` all tenants' work runs as the
   * role of the connection. Default `separate`.
   */
  readonly roles?: 'separate' | 'shared'
  /** The encryption of those roles' passwords in the catalog. */
  readonly credentials?: {
    /**
     * The key: 32 random bytes in base64 (`openssl rand -base64 32`), the same in every process. Several, separated by
     * commas, to replace one: the first encrypts. Default: TENANTRY_CREDENTIALS_KEY; without that, with a server of this
     * machine and unless NODE_ENV is `production`, one that is made in `.tenantry/`.
     */
    readonly key?: string
    /**
     * Replaces a lost key: the catalog accepts this process's key from now on, and no other. Passwords encrypted with
     * the lost one stay unreadable until `rotateCredentials`. For one opening alone. Default false.
     */
    readonly keyLost?: boolean
  }
  /** Steps of the service's own in the making and changing of a tenant: `handle` is the ORM's, on the tenant's database. */
  readonly hooks?: {
    /**
     * Runs for every new tenant, before it is active. It runs again after a failure or a crash, so its effects
     * elsewhere must be idempotent.
     */
    readonly initialise?: TenantHook<Handle>
    /** Runs on every copy by `clone`, unless a call brings its own: it removes data that must not be in a copy. */
    readonly anonymise?: TenantHook<Handle>
    /**
     * Runs before a tenant gets the tables of this version, such as to correct rows; `tenant.version` is the older one. The
     * tables are those of the older version. Outside of the transaction that changes these, and again after a failure
     * or a crash: its effects must be idempotent.
     */
    readonly beforeUpdate?: TenantHook<Handle>
    /**
     * Runs once a tenant has the tables of this version, such as to fill a new column. Likewise; the version is recorded
     * when it has succeeded.
     */
    readonly afterUpdate?: TenantHook<Handle>
  }
  /** The connections of tenants' work. Their number is `maxConnections` of `postgres()`. */
  readonly pool?: {
    /** The longest wait of a tenant's work for a connection while all are busy, in milliseconds. Default 10,000. */
    readonly waitMs?: number
    /**
     * The part of a server's connections that one tenant may have at once in this process, above 0 and at most 1;
     * rounded up, and one in any case. Below 1 at least one is left for others, if there are two. Default 0.5.
     */
    readonly tenantShare?: number
    /**
     * The time without an answer to a statement after which its connection is examined, in milliseconds; 0 for never.
     * If the server cannot be reached within its `connectTimeoutMs`, or is not working on the statement, the connection
     * is dropped and the statement fails. Default 10,000.
     */
    readonly checkMs?: number
    /**
     * Resets a connection in full (`DISCARD ALL`) when it is released, so that settings, temporary tables and prepared
     * statements do not last from one piece of work to the next of the same tenant. Default false: an open transaction
     * is rolled back. It costs a round trip each time.
     */
    readonly reset?: boolean
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
  }
  /**
   * The defaults of tenants' sessions. Default: a statement may run for 30 seconds; for all else, the server's
   * settings.
   */
  readonly session?: SessionDefaults
  /** Properties of tenants. */
  readonly tenants?: {
    /**
     * The naming of new tenants' databases: `readable` by the tenant's id, `opaque` by a random number, since every role
     * of a server sees the names of all databases. Default `readable`.
     */
    readonly naming?: 'readable' | 'opaque'
    /**
     * The number of connections that a tenant's role may have at once on a server, including those of other programs:
     * PostgreSQL's CONNECTION LIMIT, set for new roles and for those whose credentials are rotated. Default: the part of
     * `maxConnections` that `pool.tenantShare` allows, and 20 more.
     */
    readonly connectionLimit?: number
    /** The number of days for which an offboarded tenant is kept. Default 30. */
    readonly retentionDays?: number
  }
  /** Limits of the verbs that make and change tenants. */
  readonly limits?: {
    /** The time that queries and transactions under way have when a tenant is taken out of service. Default 10,000 ms. */
    readonly drainMs?: number
    /** The longest wait for another process that onboards the same tenant or makes the catalog. Default 60,000 ms. */
    readonly lockTimeoutMs?: number
    /**
     * The number of tenants that this process makes or changes at once; each takes up to four connections besides
     * `maxConnections`. Default 4.
     */
    readonly concurrency?: number
  }
}

/** Gives a configuration its type, for `tenantry.config.ts`: `export default defineConfig({ ... })`. */
export function defineConfig<Handle>(config: TenantryConfig<Handle>): TenantryConfig<Handle> {
  return config
}
