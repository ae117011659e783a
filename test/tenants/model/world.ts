import type { TenantState } from 'tenantry'
import type { AuditView, Metadata, TenantView } from './calls.ts'

/** A tenant as the model knows it. */
export interface TenantModel {
  /** Distinguishes the tenants that one id belongs to, one after the other. */
  readonly life: number
  readonly id: string
  readonly state: TenantState
  readonly resting: 'active' | 'suspended' | null
  readonly displayName: string | null
  readonly metadata: Metadata
  readonly server: string
  readonly database: string
  readonly origin: 'models' | 'clone' | 'adopt'
  /** The life that is copied, or the database that is taken over. */
  readonly source: number | string | null
  readonly activated: boolean
  readonly retentionDays: number | null
  /** The place of its database. One that is to be adopted is foreign until it is. */
  readonly place: 'nowhere' | 'building' | 'in service' | 'archived' | 'pending drop'
  readonly rows: readonly string[]
}

/** All that the model knows. It is never changed: a step makes a new one. */
export interface World {
  readonly servers: readonly string[]
  readonly tenants: Readonly<Record<string, TenantModel>>
  /** Databases without a tenant, by name, with their rows. */
  readonly strangers: Readonly<Record<string, readonly string[]>>
  /** By tenant id, the earliest entry first. */
  readonly audit: Readonly<Record<string, readonly AuditView[]>>
  /** The locked ids. */
  readonly locks: readonly string[]
  readonly lives: number
}

export function newWorld(servers: readonly string[]): World {
  return { servers, tenants: {}, strangers: {}, audit: {}, locks: [], lives: 0 }
}

export function databaseOf(id: string): string {
  return `_t_${id.replaceAll('-', '_')}`
}

export function viewOf(tenant: TenantModel): TenantView {
  const { id, state, displayName, metadata, server, database, activated, retentionDays } = tenant
  return { id, state, displayName, metadata, server, database, activated, retentionDays }
}

/** All tenants in the order of their ids. */
export function tenantsOf(world: World): readonly TenantModel[] {
  return Object.keys(world.tenants)
    .toSorted()
    .map((id) => world.tenants[id] as TenantModel)
}

export function isInService({ state }: TenantModel): boolean {
  return state === 'active' || state === 'suspended'
}

/** Returns the owner of the database of that name, if there is one. */
export function ownerOf(world: World, database: string): TenantModel | 'stranger' | undefined {
  if (database in world.strangers) return 'stranger'
  return tenantsOf(world).find((tenant) => tenant.place === 'in service' && tenant.database === database)
}

/** The world with one tenant changed, and that written into the audit trail. */
export function changed(
  world: World,
  tenant: TenantModel,
  change: Partial<TenantModel>,
  note: { readonly verb: string; readonly actor: string } | undefined,
): World {
  const next = { ...tenant, ...change }
  const tenants = { ...world.tenants, [tenant.id]: next }
  return noted({ ...world, tenants }, tenant.id, note && { ...note, from: tenant.state, to: next.state })
}

/** The world without a tenant. */
export function without(world: World, { id, state }: TenantModel, verb: string, actor: string | null): World {
  const { [id]: gone, ...tenants } = world.tenants
  return noted({ ...world, tenants }, id, { verb, from: state, to: null, actor })
}

/** The world with a line more in the audit trail. */
export function noted(world: World, id: string, line: AuditView | undefined): World {
  if (line === undefined) return world
  return { ...world, audit: { ...world.audit, [id]: [...(world.audit[id] ?? []), line] } }
}
