import type { ErrorCode } from 'tenantry'
import type { CallOf, Metadata } from './calls.ts'
import { done, type Move, refused, type Step, underLock } from './steps.ts'
import { changed, databaseOf, isInService, noted, ownerOf, type TenantModel, without, type World } from './world.ts'

// The verbs that make a tenant: each records the plan, makes the database, and makes the tenant active. Others may look
// in between.

export function onboard(call: CallOf<'onboard'>, label: string): Step {
  const { id, server, existing } = call
  const alreadyThere = (world: World, tenant: TenantModel) => {
    if (!isInService(tenant)) return refused(world, 'tenant-state')
    return existing === 'refuse' ? refused(world, 'tenant-exists') : done(world, 'already-exists', tenant)
  }
  return (world) => {
    if (server !== undefined && !world.servers.includes(server)) return refused(world, 'server-unknown')
    const known = world.tenants[id]
    if (known !== undefined && known.state !== 'onboarding') return alreadyThere(world, known)
    const first: Step = (now) => {
      const place = {
        server: server ?? emptiest(now),
        database: databaseOf(id),
        origin: 'models',
        source: null,
      } as const
      const intended = intend(now, call, place, label)
      if (intended === undefined) return refused(now, 'tenant-exists')
      const { tenant } = intended
      if (tenant.state !== 'onboarding') return alreadyThere(intended.world, tenant)
      if (tenant.origin !== 'models') return refused(intended.world, 'tenant-state')
      const fails = isBroken(tenant)
      return { world: intended.world, next: build({ tenant, fails, label, outcome: 'onboarded', copied: () => [] }) }
    }
    return { world, next: underLock(id, first) }
  }
}

export function clone(call: CallOf<'clone'>, label: string): Step {
  const { id, existing, breaks } = call
  return (world) => {
    const source = world.tenants[call.source]
    if (source === undefined) return refused(world, 'tenant-unknown')
    const first: Step = (now) => {
      const known = now.tenants[id]
      if (known === undefined && !isInService(source)) return refused(now, 'tenant-state')
      const place = { server: source.server, database: databaseOf(id), origin: 'clone', source: source.life } as const
      const intended = intend(now, call, place, label)
      if (intended === undefined) return refused(now, 'tenant-exists')
      const { world: next, tenant } = intended
      const isSame = tenant.origin === 'clone' && tenant.source === source.life
      if (isInService(tenant)) {
        if (!isSame) return refused(next, 'tenant-exists')
        return existing === 'refuse' ? refused(next, 'tenant-exists') : done(next, 'already-exists', tenant)
      }
      if (tenant.state !== 'onboarding' || !isSame || !isInService(source)) return refused(next, 'tenant-state')
      const fails = breaks === true || isBroken(tenant)
      return { world: next, next: build({ tenant, fails, label, outcome: 'cloned', copied: rowsOf(source) }) }
    }
    return { world, next: underLock(id, first) }
  }
}

export function adopt(call: CallOf<'adopt'>, label: string): Step {
  const { id, database, server } = call
  const take: Step = (world) => {
    const place = {
      server: server ?? world.servers[0] ?? '',
      database,
      origin: 'adopt',
      source: database,
    } as const
    const intended = intend(world, call, place, label)
    if (intended === undefined) return refused(world, 'tenant-exists')
    const { tenant } = intended
    const fails = isBroken(tenant)
    return {
      world: intended.world,
      next: (now) => (fails ? refused(now, 'hook-failed') : takeOver(now, tenant, label)),
    }
  }
  const first: Step = (world) => {
    const known = world.tenants[id]
    if (known !== undefined) {
      const isThere = known.database === database && known.server === (server ?? world.servers[0])
      if (isInService(known)) {
        return isThere ? done(world, 'already-adopted', known) : refused(world, 'tenant-exists')
      }
      if (known.state !== 'onboarding' || known.origin !== 'adopt' || !isThere) return refused(world, 'tenant-state')
    }
    const owner = ownerOf(world, database)
    if (owner === undefined) return refused(world, 'database-missing')
    return owner === 'stranger' ? { world, next: take } : refused(world, 'tenant-exists')
  }
  return (world) => {
    if (server !== undefined && !world.servers.includes(server)) return refused(world, 'server-unknown')
    return { world, next: underLock(id, first) }
  }
}

function takeOver(world: World, tenant: TenantModel, label: string): Move {
  const { [tenant.database]: rows = [], ...strangers } = world.strangers
  return activated({ ...world, strangers }, tenant, { verb: 'adopt', outcome: 'adopted', rows, label })
}

/** Returns the server with the fewest tenants, of any state. */
function emptiest({ servers, tenants }: World): string {
  const count = (server: string) => Object.values(tenants).filter((tenant) => tenant.server === server).length
  return servers.toSorted((a, b) => count(a) - count(b))[0] as string
}

function isBroken({ metadata }: TenantModel): boolean {
  return metadata['broken'] === true
}

type Place = Pick<TenantModel, 'server' | 'database' | 'origin' | 'source'>

/** Writes down that a tenant is to be, unless there is one of that id; undefined when another has the database. */
function intend(
  world: World,
  {
    id,
    displayName,
    metadata = {},
  }: { readonly id: string; readonly displayName?: string; readonly metadata?: Metadata },
  place: Place,
  label: string,
): { readonly world: World; readonly tenant: TenantModel } | undefined {
  const known = world.tenants[id]
  if (known !== undefined) return { world, tenant: known }
  const { server, database } = place
  if (Object.values(world.tenants).some((it) => it.server === server && it.database === database)) return undefined
  const tenant: TenantModel = {
    ...place,
    id,
    life: world.lives + 1,
    state: 'onboarding',
    resting: null,
    displayName: displayName ?? null,
    metadata,
    activated: false,
    retentionDays: null,
    place: 'nowhere',
    rows: [],
  }
  const tenants = { ...world.tenants, [id]: tenant }
  const line = { verb: verbOf(tenant), from: null, to: 'onboarding', actor: label } as const
  return { world: noted({ ...world, tenants, lives: tenant.life }, id, line), tenant }
}

function verbOf({ origin }: TenantModel): string {
  return origin === 'models' ? 'onboard' : origin
}

interface Building {
  readonly tenant: TenantModel
  /** True if a hook of the service fails. */
  readonly fails: boolean
  readonly label: string
  readonly outcome: string
  /** Returns the initial content of the database, or the reason why there is nothing to copy. */
  readonly copied: (world: World) => readonly string[] | ErrorCode
}

/**
 * Returns a database in service, as it is when it is copied; its tenant may have been removed since it was looked up.
 */
function rowsOf({ id, life }: TenantModel): Building['copied'] {
  return (world) => {
    const source = world.tenants[id]
    if (source?.life !== life) return 'tenant-unknown'
    return source.place === 'in service' ? source.rows : 'tenant-state'
  }
}

/** Makes a database under its building name, and gives it its own when it is whole. */
function build({ tenant, fails, label, outcome, copied }: Building): Step {
  const { id, database } = tenant
  const withdrawn = (world: World) =>
    refused(without(world, world.tenants[id] as TenantModel, 'withdraw', label), 'foreign-database')
  return (world) => {
    if (ownerOf(world, database) !== undefined) return withdrawn(world)
    const rows = copied(world)
    if (typeof rows === 'string') return refused(world, rows)
    const built = changed(world, world.tenants[id] as TenantModel, { place: 'building' }, undefined)
    const last: Step = (now) => {
      if (fails) return refused(now, 'hook-failed')
      if (ownerOf(now, database) !== undefined) return withdrawn(now)
      return activated(now, tenant, { verb: verbOf(tenant), outcome, rows, label })
    }
    return { world: built, next: last }
  }
}

function activated(
  world: World,
  { id }: TenantModel,
  { verb, outcome, rows, label }: { verb: string; outcome: string; rows: readonly string[]; label: string },
): Move {
  const change = { state: 'active', activated: true, place: 'in service', rows } as const
  const next = changed(world, world.tenants[id] as TenantModel, change, { verb, actor: label })
  return done(next, outcome, next.tenants[id])
}
