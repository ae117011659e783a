import type { Tenantry, TenantryError, TenantState } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { transitions } from '../../dist/catalog/states.js'
import { errorOf } from '../support/server.ts'
import { inCatalog, openTestTenantry, snapshot, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

type Verb = keyof typeof table

/**
 * The result of every verb in every state: the state after it, the outcome of one whose work is done and that changes
 * nothing, or the code of its refusal.
 */
const table = {
  onboard: {
    onboarding: ['onboarded', 'active'],
    active: ['already-exists'],
    suspended: ['already-exists'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  'onboard refusing': {
    onboarding: ['onboarded', 'active'],
    active: 'tenant-exists',
    suspended: 'tenant-exists',
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  update: {
    onboarding: ['updated', 'onboarding'],
    active: ['updated', 'active'],
    suspended: ['updated', 'suspended'],
    offboarded: ['updated', 'offboarded'],
    purging: 'tenant-state',
  },
  suspend: {
    onboarding: 'tenant-state',
    active: ['suspended', 'suspended'],
    suspended: ['already-suspended'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  resume: {
    onboarding: 'tenant-state',
    active: ['already-active'],
    suspended: ['resumed', 'active'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  offboard: {
    onboarding: 'tenant-state',
    active: ['offboarded', 'offboarded'],
    suspended: ['offboarded', 'offboarded'],
    offboarded: ['already-offboarded'],
    purging: 'tenant-state',
  },
  restore: {
    onboarding: 'tenant-state',
    active: ['already-restored'],
    suspended: ['already-restored'],
    offboarded: ['restored', 'active'],
    purging: 'tenant-state',
  },
  purge: {
    onboarding: ['purged', undefined],
    active: 'tenant-state',
    suspended: 'tenant-state',
    offboarded: ['purged', undefined],
    purging: ['purged', undefined],
  },
  'clone from': {
    onboarding: 'tenant-state',
    active: ['cloned', 'active'],
    suspended: ['cloned', 'suspended'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  'clone to': {
    onboarding: 'tenant-state',
    active: 'tenant-exists',
    suspended: 'tenant-exists',
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  adopt: {
    onboarding: 'tenant-state',
    active: ['already-adopted'],
    suspended: ['already-adopted'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  check: {
    onboarding: 'tenant-state',
    active: ['matches'],
    suspended: ['matches'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  environment: {
    onboarding: 'tenant-state',
    active: ['given'],
    suspended: ['given'],
    offboarded: 'tenant-state',
    purging: 'tenant-state',
  },
  with: {
    onboarding: 'tenant-not-active',
    active: ['done'],
    suspended: 'tenant-not-active',
    offboarded: 'tenant-not-active',
    purging: 'tenant-not-active',
  },
  run: {
    onboarding: 'tenant-not-active',
    active: ['done'],
    suspended: 'tenant-not-active',
    offboarded: 'tenant-not-active',
    purging: 'tenant-not-active',
  },
} as const satisfies Record<string, Record<TenantState, string | readonly [string, (TenantState | undefined)?]>>

const states = ['onboarding', 'active', 'suspended', 'offboarded', 'purging'] as const
const cases = (Object.keys(table) as Verb[]).flatMap((verb) => states.map((state) => ({ verb, state })))

const broken = new Set<string>()
let tenantry: TestTenantry<unknown>
let source: string

beforeAll(async () => {
  tenantry = await openTestTenantry<unknown>(models, {
    hooks: {
      initialise: (_, { id }) => {
        if (broken.has(id)) throw new Error('not yet')
      },
    },
  })
  source = (await tenantry.onboard('source')).tenant.id
})

/** A tenant in a state, brought there by the verbs themselves; `purging` as a purge leaves it that was interrupted. */
async function bring(id: string, state: TenantState): Promise<void> {
  if ((await tenantry.tenants.get(id)) !== undefined) return
  if (state === 'onboarding') {
    broken.add(id)
    await errorOf(tenantry.onboard(id))
    broken.delete(id)
    return
  }
  await tenantry.onboard(id)
  if (state === 'suspended') await tenantry.tenants.suspend(id)
  if (state === 'offboarded' || state === 'purging') await tenantry.tenants.offboard(id)
  if (state === 'purging') await inCatalog(tenantry, `update tenantry.tenant set state = 'purging' where id = $1`, [id])
}

const calls: Record<Verb, (own: Tenantry<unknown>, id: string) => Promise<{ readonly outcome: string }>> = {
  onboard: (own, id) => own.onboard(id),
  'onboard refusing': (own, id) => own.onboard(id, { existing: 'refuse' }),
  update: (own, id) => own.tenants.update(id, { displayName: 'Changed' }),
  suspend: (own, id) => own.tenants.suspend(id),
  resume: (own, id) => own.tenants.resume(id),
  offboard: (own, id) => own.tenants.offboard(id),
  restore: (own, id) => own.tenants.restore(id),
  purge: (own, id) => own.tenants.purge(id),
  'clone from': (own, id) => own.tenants.clone(id, `${id}-copy`),
  'clone to': (own, id) => own.tenants.clone(source, id),
  adopt: (own, id) => own.tenants.adopt(id, { database: `${tenantry.installation}_t_${id.replaceAll('-', '_')}` }),
  check: (own, id) => own.tenants.check(id),
  environment: async (own, id) => ({
    outcome: 'PGDATABASE' in (await own.tenants.environment(id)) ? 'given' : 'empty',
  }),
  with: async (own, id) => ({ outcome: await own.with(id, () => 'done') }),
  run: async (own, id) => ({ outcome: await own.run(id, () => 'done') }),
}

describe('every verb in every state', () => {
  it.each(cases)('$verb of a tenant that is $state', async ({ verb, state }) => {
    const expected = table[verb][state]
    const isChanging = typeof expected !== 'string' && expected.length === 2
    // One that changes nothing can be tried on the same tenant as all others that do not.
    const id = isChanging ? `${verb.replace(' ', '-')}-${state}` : state
    await bring(id, state)
    const before = await snapshot(tenantry)
    if (typeof expected === 'string') {
      const error = (await errorOf(calls[verb](tenantry, id))) as TenantryError
      expect(error).toMatchObject({ name: 'TenantryError', code: expected })
      expect(error.hint).toMatch(/\S/)
      expect(await snapshot(tenantry)).toEqual(before)
      return
    }
    expect(await calls[verb](tenantry, id)).toMatchObject({ outcome: expected[0] })
    if (!isChanging) expect(await snapshot(tenantry)).toEqual(before)
    else expect((await tenantry.tenants.get(id))?.state).toBe(expected[1])
  })

  it('is written down in the table of transitions in the code, and no other', () => {
    const verbs = ['suspend', 'resume', 'offboard', 'restore', 'purge'] as const
    for (const verb of verbs) {
      const from = states.filter((state) => {
        const expected = table[verb][state]
        return typeof expected !== 'string' && expected.length === 2 && state !== 'purging'
      })
      expect({ verb, from }).toEqual({ verb, from: transitions[verb].from })
    }
    expect(transitions.activate).toEqual({ from: ['onboarding'], to: ['active'] })
    const makers = ['onboard', 'onboard refusing'] as const
    for (const verb of makers) expect(table[verb].onboarding).toEqual(['onboarded', 'active'])
  })

  it.each(['update', 'suspend', 'resume', 'offboard', 'restore', 'purge', 'check', 'environment', 'with'] as const)(
    '%s of an unknown tenant is refused',
    async (verb) => {
      const before = await snapshot(tenantry)
      expect(await errorOf(calls[verb](tenantry, 'nobody'))).toMatchObject({ code: 'tenant-unknown' })
      expect(await errorOf(calls[verb](tenantry, 'No Id'))).toMatchObject({ code: 'invalid-tenant-id' })
      expect(await snapshot(tenantry)).toEqual(before)
    },
  )

  it('clone of an unknown source is refused and leaves nothing', async () => {
    const before = await snapshot(tenantry)
    expect(await errorOf(tenantry.tenants.clone('nobody', 'copy'))).toMatchObject({ code: 'tenant-unknown' })
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('is refused with an option that it does not know, and changes nothing', async () => {
    await tenantry.onboard('options')
    const before = await snapshot(tenantry)
    const wrong = { drainms: 1 } as object
    const attempts = [
      () => tenantry.tenants.suspend('options', wrong),
      () => tenantry.tenants.resume('options', wrong),
      () => tenantry.tenants.offboard('options', wrong),
      () => tenantry.tenants.restore('options', wrong),
      () => tenantry.tenants.purge('options', wrong),
      () => tenantry.tenants.purgeExpired(wrong),
      () => tenantry.tenants.clone('options', 'copy', wrong),
      () => tenantry.tenants.update('options', wrong),
      () => tenantry.tenants.adopt('copy', { database: 'any', ...wrong }),
      () => tenantry.tenants.history('options', wrong),
      () => tenantry.tenants.list(wrong),
      () => tenantry.tenants.offboard('options', { retentionDays: -1 }),
      () => tenantry.tenants.suspend('options', { drainMs: 0.5 }),
      () => tenantry.tenants.suspend('options', { actor: 'x'.repeat(201) }),
      () => tenantry.tenants.suspend('options', { actor: 'a\u0000' }),
      () => tenantry.tenants.purgeExpired({ limit: 0 }),
    ]
    for (const attempt of attempts) expect(await errorOf(attempt())).toMatchObject({ code: 'invalid-option' })
    expect(await snapshot(tenantry)).toEqual(before)
  })
})
