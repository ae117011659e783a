import type { Call, CallOf, Request } from './calls.ts'
import { hasExpired, offboard, purge, purgeExpired, restore, resume, suspend, update } from './changing.ts'
import { adopt, clone, onboard } from './making.ts'
import { done, type Move, refused, type Step } from './steps.ts'
import { changed, tenantsOf, type TenantModel, viewOf, type World } from './world.ts'

/** The steps of every verb. */
const verbs: { readonly [Verb in Call['verb']]: (call: CallOf<Verb>, label: string) => Step } = {
  onboard,
  clone,
  adopt,
  update,
  suspend,
  resume,
  offboard,
  restore,
  purge,
  purgeExpired,
  read: ({ id }) => inTenant(id, (world, { rows }) => ({ world, result: { rows: rows.toSorted() } })),
  write: ({ id }, label) =>
    inTenant(id, (world, tenant) =>
      done(changed(world, tenant, { rows: [...tenant.rows, label] }, undefined), 'written'),
    ),
  run: ({ id }) => inTenant(id, (world) => done(world, 'ran')),
  get: ({ id }) => {
    return (world) => ({
      world,
      result: {
        tenants: tenantsOf(world)
          .filter((it) => it.id === id)
          .map(viewOf),
      },
    })
  },
  list: (call) => {
    return (world) => ({
      world,
      result: {
        tenants: tenantsOf(world)
          .filter((it) => isListed(call, it))
          .map(viewOf),
      },
    })
  },
  history: ({ id }) => {
    return (world) => ({ world, result: { entries: (world.audit[id] ?? []).toReversed() } })
  },
}

/** The first step of a call. */
export function stepsOf({ call, label }: Request): Step {
  return (verbs[call.verb] as (call: Call, label: string) => Step)(call, label)
}

function inTenant(id: string, work: (world: World, tenant: TenantModel) => Move): Step {
  return (world) => {
    const tenant = world.tenants[id]
    if (tenant === undefined) return refused(world, 'tenant-unknown')
    return tenant.state === 'active' ? work(world, tenant) : refused(world, 'tenant-not-active')
  }
}

function isListed({ state, expired }: CallOf<'list'>, tenant: TenantModel): boolean {
  if (state !== undefined && !state.includes(tenant.state)) return false
  return expired !== true || hasExpired(tenant)
}
