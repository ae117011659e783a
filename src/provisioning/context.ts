import type { Cancellable } from '../kernel/abort.ts'
import type { Identifier, Installation, TenantId } from '../kernel/names.ts'
import type { Verb } from '../catalog/audit.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { TenantState } from '../catalog/states.ts'
import type { Tenant, TenantRow } from '../catalog/tenant.ts'
import type { Models } from '../models/port.ts'
import type { Server } from '../server/port.ts'

/** What happened to a tenant, told once it is certain. */
export interface TenantEvent {
  readonly verb: Verb
  readonly tenant: TenantId
  /** The name of its server. */
  readonly server: string
  /** The state before; undefined where there was no tenant. */
  readonly from: TenantState | undefined
  /** The state after; undefined where the tenant is gone. */
  readonly to: TenantState | undefined
  /** Milliseconds since the call began. */
  readonly durationMs: number
}

/** A step of the service's own in the making of a tenant. */
export type TenantHook<Handle> = (handle: Handle, tenant: Tenant) => unknown

/** Makes every process of the installation let go of a tenant's database. Routing does it; the root wires it. */
export type Evict = (
  eviction: { readonly tenant: TenantId; readonly server: string; readonly database: Identifier },
  limitMs: number,
  options: Cancellable,
) => Promise<void>

/** What the verbs of a tenant's life work with. */
export interface ProvisioningContext {
  readonly installation: Installation
  readonly installationId: string
  readonly catalog: Catalog
  /** The server that the catalog is on. */
  readonly home: Server
  readonly servers: ReadonlyMap<string, Server>
  readonly models: Models<unknown>
  readonly fingerprint: string
  /** How long another process may take with the same tenant, in milliseconds. */
  readonly lockTimeoutMs: number
  /** How long work under way on a tenant may take that is taken out of service, in milliseconds. */
  readonly drainMs: number
  /** How long an offboarded tenant is kept. */
  readonly retentionDays: number
  readonly evict: Evict
  readonly emit: (event: TenantEvent) => void
}

/** What the verbs that make a tenant work with besides. */
export interface MakingContext<Handle> extends ProvisioningContext {
  readonly models: Models<Handle>
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
  { id, server }: TenantRow,
  change: { readonly from: TenantState | undefined; readonly to: TenantState | undefined; readonly since: number },
): void {
  const { from, to, since } = change
  context.emit({ verb, tenant: id, server, from, to, durationMs: performance.now() - since })
}
