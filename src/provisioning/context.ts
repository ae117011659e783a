import type { Cancellable } from '../kernel/abort.ts'
import type { TenantryError } from '../kernel/errors.ts'
import type { DomainName } from '../kernel/domain-names.ts'
import type { Keyring } from '../kernel/keyring.ts'
import type { Identifier, Installation, TenantId } from '../kernel/names.ts'
import type { Verb } from '../catalog/audit.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Domains } from '../catalog/domains.ts'
import type { TenantState } from '../catalog/states.ts'
import type { RolloutRecords } from '../catalog/rollout-records.ts'
import type { RolloutTargets } from '../catalog/rollout-targets.ts'
import type { Inventory, TemplateRow } from '../catalog/inventory.ts'
import type { Tenant, TenantRow } from '../catalog/tenant.ts'
import type { Models } from '../models/port.ts'
import type { EndedBlocker, GroupRoles, Server, Session } from '../server/port.ts'
import type { Structure } from '../structure/structure-object.ts'
import type { Activity } from './templates/activity.ts'

/** A change of a tenant, emitted once it is certain. */
export interface TenantEvent {
  readonly event: 'tenant-changed'
  readonly verb: Verb
  readonly tenant: TenantId
  /** The name of its server. */
  readonly server: string
  /** The state before; undefined if there was no tenant. */
  readonly from: TenantState | undefined
  /** The state after; undefined if the tenant was removed. */
  readonly to: TenantState | undefined
  /** The domain that was added, verified or removed. */
  readonly domain?: string
  /** Milliseconds since the call began. */
  readonly durationMs: number
}

/** A tenant got its database from a spare. Its `tenant-changed` is emitted, too. */
export interface ClaimEvent {
  readonly event: 'tenant-claimed'
  readonly tenant: TenantId
  readonly server: string
  readonly durationMs: number
}

/** A change of templates and spares. */
export interface InventoryEvent {
  readonly event: 'template-built' | 'template-dropped' | 'spare-filled' | 'spare-dropped'
  readonly server: string
  /** The version of the models. */
  readonly fingerprint: string
  readonly durationMs: number
}

/**
 * Spares could not be filled, or discarded databases and versions that no process declares any more could not be dropped;
 * it is retried automatically.
 */
export interface KeepingFailedEvent {
  readonly event: 'filling-failed' | 'retiring-failed'
  /** The server; that of the catalog if the failure concerns no single server. */
  readonly server: string
  /** The version that this process keeps. */
  readonly fingerprint: string
  readonly error: TenantryError
  /** Milliseconds until the next attempt. */
  readonly retryInMs: number
}

/** Interrupted work of earlier processes on tenants was finished or undone when this one opened. */
export interface ReconciledEvent {
  readonly event: 'reconciled'
  /**
   * The number of tenants for which it succeeded, and for which it failed; the next process that opens retries those.
   */
  readonly done: number
  readonly failed: number
  /** The error that ended it early. */
  readonly error: TenantryError | undefined
  readonly durationMs: number
}

/**
 * A lease of a connection has lasted longer than `leaseWarningMs`: perhaps it was forgotten. Emitted once for each
 * lease.
 */
export interface LeaseEvent {
  readonly event: 'lease-held'
  readonly tenant: TenantId
  /** The age of the lease, in milliseconds. */
  readonly heldMs: number
  /**
   * The stack of the request: the lines of the service's own code, the innermost first. If an ORM has cut them off, the
   * lines of the call of `with` or `run`. Empty if no stack was recorded (`traceLeases`).
   */
  readonly where: readonly string[]
}

/**
 * A session or a prepared transaction of a tenant was ended, because an administrative statement waited for its lock:
 * perhaps an attack. `user` names the tenant's role.
 */
export interface BlockerEndedEvent extends EndedBlocker {
  readonly event: 'blocker-ended'
  readonly server: string
}

/**
 * A role that is not needed any more could not be dropped, because other roles keep granting it privileges. It cannot
 * log in; `reconcile` tries again.
 */
export interface RoleKeptEvent {
  readonly event: 'role-kept'
  readonly server: string
  readonly role: string
  /** Its hint has the statements that drop the role. */
  readonly error: TenantryError
}

/** The events of an open Tenantry, for logs and metrics. */
export type TenantryEvent =
  | TenantEvent
  | ClaimEvent
  | InventoryEvent
  | KeepingFailedEvent
  | ReconciledEvent
  | LeaseEvent
  | BlockerEndedEvent
  | RoleKeptEvent

/** A step of the service's own, in the making of a tenant or in the change of its tables. */
export type TenantHook<Handle> = (handle: Handle, tenant: Tenant) => unknown

/** The initial data of every tenant: it runs once, in the template. */
export type Seed<Handle> = (handle: Handle) => unknown

/**
 * Makes every process of the installation release a tenant's database. Routing implements it; `tenantry.ts` passes it
 * on.
 */
export type Evict = (
  eviction: { readonly tenant: TenantId; readonly server: string; readonly database: Identifier },
  limitMs: number,
  options: Cancellable,
) => Promise<void>

/** The separation of tenants that each have a role of their own. */
export interface Separation {
  readonly groups: GroupRoles
  readonly keys: Keyring
  /** Returns the number of connections that the role of a tenant may have at once on a server. */
  readonly connectionLimit: (server: Server) => number
  /** The servers, by name, that are known to have the groups. */
  readonly preparedServers: Set<string>
}

/** The structures of this process's version, by the major version of the server that words them. */
export type KnownStructures = Map<number, Structure>

/** The context of the verbs of a tenant's life. */
export interface ProvisioningContext {
  readonly installation: Installation
  readonly installationId: string
  /** The secret in the names of locks on tenants; see `tenantLock`. */
  readonly lockSecret: string
  readonly catalog: Catalog
  readonly inventory: Inventory
  readonly domains: Domains
  readonly rolloutRecords: RolloutRecords
  readonly rolloutTargets: RolloutTargets
  /** The templates that this process has seen, by the server's name. */
  readonly knownTemplates: Map<string, TemplateRow>
  /** The structures of this process's version that were read from the catalog. */
  readonly knownStructures: KnownStructures
  /** The onboardings of this process. */
  readonly onboarding: Activity
  readonly naming: 'readable' | 'opaque'
  /** Undefined if all tenants share the role of the connection. */
  readonly separation: Separation | undefined
  /** The server that the catalog is on. */
  readonly home: Server
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<unknown>
  readonly fingerprint: string
  /**
   * Opens a session for administration, in the administrative database of the server; see `administrationDatabase`. It
   * may have been used before.
   */
  readonly connect: (server: Server, options: Cancellable) => Promise<Session>
  /** The longest wait for another process that works on the same tenant, in milliseconds. */
  readonly lockTimeoutMs: number
  /** The time that work under way has when a tenant is taken out of service, in milliseconds. */
  readonly drainMs: number
  /** The retention of an offboarded tenant. */
  readonly retentionDays: number
  readonly evict: Evict
  /** Makes this process forget a domain, or all of them. The catalog notifies the other processes of a change. */
  readonly forgetDomains: (domain?: DomainName) => void
  readonly emit: (event: TenantryEvent) => void
}

/** The further context of the verbs that make a tenant. */
export interface MakingContext<Handle> extends ProvisioningContext {
  readonly models: Models<Handle>
  /** The initial data of a template. */
  readonly seed?: Seed<Handle>
  readonly extensions: readonly Identifier[]
  /** Runs once per tenant before it is active, and again after a failure. */
  readonly initialise: TenantHook<Handle> | undefined
  /** Runs on every copy whose call brings none of its own. */
  readonly anonymise: TenantHook<Handle> | undefined
  /** Runs before a tenant's tables are changed. */
  readonly beforeUpdate: TenantHook<Handle> | undefined
  /** Runs after a tenant's tables were changed, before its version is recorded. */
  readonly afterUpdate: TenantHook<Handle> | undefined
}

/** Options of every verb. */
export interface VerbOptions extends Cancellable {
  /** The author, for the audit trail; any text of at most 200 characters. */
  readonly actor?: string
}

/** Options of the verbs that take a tenant out of service. */
export interface DrainOptions extends VerbOptions {
  /**
   * The time that work under way has before its sessions are ended, in milliseconds. Default: that of the
   * configuration.
   */
  readonly drainMs?: number
}

/** Emits the event of a change, for logs and metrics. */
export function emitChange(
  context: ProvisioningContext,
  verb: Verb,
  { id, server }: Pick<TenantRow, 'id' | 'server'>,
  change: {
    readonly from: TenantState | undefined
    readonly to: TenantState | undefined
    readonly since: number
    readonly domain?: DomainName
  },
): void {
  const { since, ...states } = change
  context.emit({ event: 'tenant-changed', verb, tenant: id, server, ...states, durationMs: performance.now() - since })
}
