import type { Cancellable } from '../kernel/abort.ts'
import type { TenantryError } from '../kernel/errors.ts'
import type { DomainName } from '../kernel/domain-names.ts'
import type { Keyring } from '../kernel/keyring.ts'
import type { Identifier, Installation, TenantId } from '../kernel/names.ts'
import type { Verb } from '../catalog/audit.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Domains } from '../catalog/domains.ts'
import type { TenantState } from '../catalog/states.ts'
import type { Stock, TemplateRow } from '../catalog/stock.ts'
import type { Tenant, TenantRow } from '../catalog/tenant.ts'
import type { Models } from '../models/port.ts'
import type { EndedBlocker, GroupRoles, Server, Session } from '../server/port.ts'
import type { Structure } from '../structure/structure-object.ts'
import type { Activity } from './activity.ts'

/** What happened to a tenant, told once it is certain. */
export interface TenantEvent {
  readonly event: 'tenant-changed'
  readonly verb: Verb
  readonly tenant: TenantId
  /** The name of its server. */
  readonly server: string
  /** The state before; undefined where there was no tenant. */
  readonly from: TenantState | undefined
  /** The state after; undefined where the tenant is gone. */
  readonly to: TenantState | undefined
  /** The domain that was added, verified or removed. */
  readonly domain?: string
  /** Milliseconds since the call began. */
  readonly durationMs: number
}

/** A tenant got its database from a spare. Its `tenant-changed` is told, too. */
export interface ClaimEvent {
  readonly event: 'tenant-claimed'
  readonly tenant: TenantId
  readonly server: string
  readonly durationMs: number
}

/** What became of templates and spares. */
export interface StockEvent {
  readonly event: 'template-built' | 'template-dropped' | 'spare-filled' | 'spare-dropped'
  readonly server: string
  /** The version of the models. */
  readonly fingerprint: string
  readonly durationMs: number
}

/**
 * Spares could not be filled up, or what versions that nobody declares any more have left could not be dropped; it is
 * tried again by itself.
 */
export interface KeepingFailedEvent {
  readonly event: 'filling-failed' | 'retiring-failed'
  /** The server; that of the catalog where it is not one server's affair. */
  readonly server: string
  /** The version that this process keeps. */
  readonly fingerprint: string
  readonly error: TenantryError
  /** Milliseconds until the next attempt. */
  readonly retryInMs: number
}

/** What earlier processes had left of tenants was finished or taken back when this one opened. */
export interface ReconciledEvent {
  readonly event: 'reconciled'
  /** How many tenants it could be done for, and for how many not; those are tried again by the next that opens. */
  readonly done: number
  readonly failed: number
  /** What ended it before it was through. */
  readonly error: TenantryError | undefined
  readonly durationMs: number
}

/** A connection is lent to a tenant's work for longer than `leaseWarningMs`: perhaps it was forgotten. Told once of each. */
export interface LeaseEvent {
  readonly event: 'lease-held'
  readonly tenant: TenantId
  /** For how long already, in milliseconds. */
  readonly heldMs: number
  /**
   * Where it was asked for: the lines of the stack that are the service's own, the innermost first. Where an ORM has cut
   * them off, those of the call of `with` or `run`. None where it was not noted (`traceLeases`).
   */
  readonly where: readonly string[]
}

/**
 * A session or a prepared transaction of a tenant was ended, because an administrative statement waited for a lock that it
 * held: perhaps an attack. `user` names the tenant's role.
 */
export interface BlockerEndedEvent extends EndedBlocker {
  readonly event: 'blocker-ended'
  readonly server: string
}

/**
 * A role that is not needed any more could not be dropped, because others go on granting it privileges. It cannot log in;
 * `reconcile` tries again.
 */
export interface RoleKeptEvent {
  readonly event: 'role-kept'
  readonly server: string
  readonly role: string
  /** Its hint has the statements that drop the role. */
  readonly error: TenantryError
}

/** What an open Tenantry tells of, for logs and metrics. */
export type TenantryEvent =
  | TenantEvent
  | ClaimEvent
  | StockEvent
  | KeepingFailedEvent
  | ReconciledEvent
  | LeaseEvent
  | BlockerEndedEvent
  | RoleKeptEvent

/** A step of the service's own in the making of a tenant. */
export type TenantHook<Handle> = (handle: Handle, tenant: Tenant) => unknown

/** What every tenant begins with: it runs once, in the template. */
export type Seed<Handle> = (handle: Handle) => unknown

/** Makes every process of the installation let go of a tenant's database. Routing does it; the root wires it. */
export type Evict = (
  eviction: { readonly tenant: TenantId; readonly server: string; readonly database: Identifier },
  limitMs: number,
  options: Cancellable,
) => Promise<void>

/** How tenants are kept apart where each has a role of its own. */
export interface Separation {
  readonly groups: GroupRoles
  readonly keys: Keyring
  /** How many connections the role of a tenant may have at once on a server. */
  readonly connectionLimit: (server: Server) => number
  /** The servers, by name, that are known to have the groups. */
  readonly preparedServers: Set<string>
}

/** The structures of this process's version, by the major version of the server that words them. */
export type KnownStructures = Map<number, Structure>

/** What the verbs of a tenant's life work with. */
export interface ProvisioningContext {
  readonly installation: Installation
  readonly installationId: string
  /** The secret in the names of locks on tenants; see `tenantLock`. */
  readonly lockSecret: string
  readonly catalog: Catalog
  readonly stock: Stock
  readonly domains: Domains
  /** The templates that this process has seen, by the server's name. */
  readonly knownTemplates: Map<string, TemplateRow>
  /** What this process's version consists of, as far as it was read from the catalog. */
  readonly knownStructures: KnownStructures
  /** What is being onboarded by this process. */
  readonly onboarding: Activity
  readonly naming: 'readable' | 'opaque'
  /** Undefined where all tenants share the role of the connection. */
  readonly separation: Separation | undefined
  /** The server that the catalog is on. */
  readonly home: Server
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<unknown>
  readonly fingerprint: string
  /**
   * A session for administration, in the administrative database of the server; see `administrationDatabase`. It may have
   * been used before.
   */
  readonly connect: (server: Server, options: Cancellable) => Promise<Session>
  /** How long another process may take with the same tenant, in milliseconds. */
  readonly lockTimeoutMs: number
  /** How long work under way on a tenant may take that is taken out of service, in milliseconds. */
  readonly drainMs: number
  /** How long an offboarded tenant is kept. */
  readonly retentionDays: number
  readonly evict: Evict
  /** Makes this process forget whose a domain is, or all of them. The others hear of a change from the catalog. */
  readonly forgetDomains: (domain?: DomainName) => void
  readonly emit: (event: TenantryEvent) => void
}

/** What the verbs that make a tenant work with besides. */
export interface MakingContext<Handle> extends ProvisioningContext {
  readonly models: Models<Handle>
  /** What a template has beside the models. */
  readonly seed: Seed<Handle> | undefined
  readonly extensions: readonly Identifier[]
  /** Runs once per tenant before it is active, and again after a failure. */
  readonly initialise: TenantHook<Handle> | undefined
  /** Runs on every copy that brings none of its own. */
  readonly anonymise: TenantHook<Handle> | undefined
}

/** Options of every verb. */
export interface VerbOptions extends Cancellable {
  /** Who asks, for the audit trail; any text of at most 200 characters. */
  readonly actor?: string
}

/** Options of the verbs that take a tenant out of service. */
export interface DrainOptions extends VerbOptions {
  /** How long work under way may take before its sessions are ended, in milliseconds. Default: that of the configuration. */
  readonly drainMs?: number
}

/** Tells of a change, for logs and metrics. */
export function announce(
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
  const { since, ...told } = change
  context.emit({ event: 'tenant-changed', verb, tenant: id, server, ...told, durationMs: performance.now() - since })
}
