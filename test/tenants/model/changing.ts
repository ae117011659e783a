import { isDeepStrictEqual } from 'node:util'
import type { CallOf, Metadata } from './calls.ts'
import { done, type Move, refused, type Step, underLock } from './steps.ts'
import { changed, isInService, ownerOf, tenantsOf, type TenantModel, without, type World } from './world.ts'

// The verbs that change a tenant, or end it.

export function update({ id, displayName, metadata = {} }: CallOf<'update'>, actor: string): Step {
  return (world) => {
    const tenant = world.tenants[id]
    if (tenant === undefined) return refused(world, 'tenant-unknown')
    if (tenant.state === 'purging') return refused(world, 'tenant-state')
    const change = {
      displayName: displayName === undefined ? tenant.displayName : displayName,
      metadata: patched(tenant.metadata, metadata) as Metadata,
    }
    if (isDeepStrictEqual({ ...tenant, ...change }, tenant)) return done(world, 'unchanged', tenant)
    const next = changed(world, tenant, change, { verb: 'update', actor })
    return done(next, 'updated', next.tenants[id])
  }
}

/** A JSON merge patch, as RFC 7396 words it. */
function patched(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null) return patch
  const result = { ...(typeof target === 'object' ? target : {}) } as Record<string, unknown>
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = patched(result[key], value)
  }
  return result
}

export function suspend({ id }: { readonly id: string }, actor: string): Step {
  return onTenant(id, (world, tenant) => {
    if (tenant.state === 'suspended') return done(world, 'already-suspended', tenant)
    if (tenant.state !== 'active') return refused(world, 'tenant-state')
    return transition(world, tenant, { state: 'suspended' }, { verb: 'suspend', actor, outcome: 'suspended' })
  })
}

export function resume({ id }: { readonly id: string }, actor: string): Step {
  return onTenant(id, (world, tenant) => {
    if (tenant.state === 'active') return done(world, 'already-active', tenant)
    if (tenant.state !== 'suspended') return refused(world, 'tenant-state')
    return transition(world, tenant, { state: 'active' }, { verb: 'resume', actor, outcome: 'resumed' })
  })
}

/** The tenant is out of service first, and its database archived then. */
export function offboard({ id, retentionDays }: CallOf<'offboard'>, actor: string): Step {
  return onTenant(id, (world, tenant) => {
    if (tenant.state === 'offboarded') return done(world, 'already-offboarded', tenant)
    if (tenant.state !== 'active' && tenant.state !== 'suspended') return refused(world, 'tenant-state')
    const next = changed(
      world,
      tenant,
      { state: 'offboarded', resting: tenant.state, retentionDays },
      { verb: 'offboard', actor },
    )
    const offboarded = next.tenants[id] as TenantModel
    const setAside: Step = (now) =>
      done(changed(now, now.tenants[id] as TenantModel, { place: 'archived' }, undefined), 'offboarded', offboarded)
    return { world: next, next: setAside }
  })
}

export function restore({ id }: { readonly id: string }, actor: string): Step {
  return onTenant(id, (world, tenant) => {
    if (isInService(tenant)) return done(world, 'already-restored', tenant)
    if (tenant.state !== 'offboarded') return refused(world, 'tenant-state')
    if (ownerOf(world, tenant.database) !== undefined) return refused(world, 'foreign-database')
    const back = { state: tenant.resting ?? 'active', resting: null, retentionDays: null, place: 'in service' } as const
    return transition(world, tenant, back, { verb: 'restore', actor, outcome: 'restored' })
  })
}

export function purge({ id }: { readonly id: string }, actor: string): Step {
  return underLock(
    id,
    purged(id, actor, () => true),
  )
}

/** Purges one after the other those that it listed, if they still qualify in their turn. */
export function purgeExpired(_: unknown, actor: string): Step {
  return (world) => {
    const found = tenantsOf(world).filter((it) => it.state === 'purging' || hasExpired(it))
    const ids = found.map(({ id }) => id)
    return { world, next: oneByOne(ids, actor) }
  }
}

function oneByOne(left: readonly string[], actor: string, purgedOnes: string[] = [], failed: string[] = []): Step {
  const [id, ...others] = left
  if (id === undefined) {
    return (world) => ({ world, result: { purged: purgedOnes.toSorted(), failed: failed.toSorted() } })
  }
  const watched = (step: Step): Step => {
    return (world) => {
      const move = step(world)
      if (move === undefined) return undefined
      if (move.next !== undefined) return { ...move, next: watched(move.next) }
      const error = 'code' in move.result ? [`${id}: ${move.result.code}`] : []
      const ended = error.length > 0 ? purgedOnes : [...purgedOnes, id]
      return { world: move.world, next: oneByOne(others, actor, ended, [...failed, ...error]) }
    }
  }
  return watched(
    underLock(
      id,
      purged(id, actor, (it) => it.state === 'purging' || hasExpired(it)),
    ),
  )
}

export function hasExpired({ state, retentionDays }: TenantModel): boolean {
  return state === 'offboarded' && retentionDays === 0
}

/** Removes an unfinished tenant like an offboarded one; a database that was never adopted stays. */
function purged(id: string, actor: string, condition: (tenant: TenantModel) => boolean): Step {
  return (world) => {
    const tenant = world.tenants[id]
    if (tenant === undefined) {
      const wasPurged = world.audit[id]?.at(-1)?.verb === 'purge'
      return wasPurged ? done(world, 'already-purged') : refused(world, 'tenant-unknown')
    }
    if (isInService(tenant) || !condition(tenant)) return refused(world, 'tenant-state')
    const change = { state: 'purging', resting: null, retentionDays: null, place: 'pending drop' } as const
    const purging = changed(world, tenant, change, { verb: 'purge', actor })
    const gone: Step = (now) => done(without(now, now.tenants[id] as TenantModel, 'purge', actor), 'purged')
    return { world: purging, next: gone }
  }
}

function onTenant(id: string, step: (world: World, tenant: TenantModel) => Move): Step {
  return underLock(id, (world) => {
    const tenant = world.tenants[id]
    return tenant === undefined ? refused(world, 'tenant-unknown') : step(world, tenant)
  })
}

function transition(
  world: World,
  tenant: TenantModel,
  change: Partial<TenantModel>,
  { verb, actor, outcome }: { readonly verb: string; readonly actor: string; readonly outcome: string },
): Move {
  const after = changed(world, tenant, change, { verb, actor })
  return done(after, outcome, after.tenants[tenant.id])
}
