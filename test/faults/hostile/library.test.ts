import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import type { ListOptions, OnboardOptions, Tenant, UpdateOptions } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { Address, User } from '../../../examples/service/models.ts'
import { openTestTenantry, type TestTenantry } from '../../support/tenants.ts'
import { anyMetadata, isStorable, isText, merged } from './metadata.ts'
import { attempt, expectRefused } from './refusal.ts'
import { cases, printSeed, runs, seed, tally } from './seed.ts'
import { goodId, hostileText, idText, longText, notText } from './texts.ts'
import { watch, type World } from './world.ts'

printSeed('names through the library')

const models = mikroOrm({ entities: [User, Address] })
/** Their tenants receive every text, one after the other. */
const lanes = ['lane-1', 'lane-2', 'lane-3']

let tenantry: TestTenantry<unknown>
let world: World
beforeAll(async () => {
  tenantry = await openTestTenantry<unknown>(models)
  for (const lane of lanes) await tenantry.onboard(lane)
  world = await watch(tenantry.installation)
})

test('there are ten thousand of them, and domains besides', () => {
  const { domains, ...others } = cases
  expect(domains).toBeGreaterThan(0)
  expect(Object.values(others).reduce((sum, count) => sum + count)).toBe(10_000)
})

describe('tenants with hostile names', () => {
  const onboarded = fc.uniqueArray(
    fc.record({
      id: goodId.filter((id) => !lanes.includes(id)),
      displayName: hostileText.filter(isText),
      metadata: anyMetadata.filter(isStorable) as fc.Arbitrary<Record<string, unknown>>,
      actor: hostileText.filter((text) => isText(text) && text.length <= 200),
    }),
    { minLength: cases.onboarded, maxLength: cases.onboarded, selector: ({ id }) => id },
  )
  const [wanted = []] = fc.sample(onboarded, { numRuns: 1, seed })

  beforeAll(async () => {
    await Promise.all(
      wanted.map(async ({ id, ...options }) => {
        await tenantry.onboard(id, options)
      }),
    )
  })

  test('are there as they were given, each in the database of its name', async () => {
    const listed = new Map(
      (await tenantry.tenants.list({ limit: 1_000 })).map((tenant) => [tenant.id as string, tenant]),
    )
    for (const { id, displayName, metadata, actor } of wanted) {
      const tenant = await tenantry.tenants.get(id)
      expect(tenant).toEqual(listed.get(id))
      const database = `${tenantry.installation}_t_${id.replaceAll('-', '_')}`
      expect(tenant).toMatchObject({ id, displayName, database, state: 'active' })
      expectSame(tenant?.metadata, JSON.parse(JSON.stringify(metadata)))
      const [entry] = await tenantry.tenants.history(id)
      expect(entry).toMatchObject({ tenant: id, verb: 'onboard', actor })
      const stored = await world.stored(id)
      expect(stored).toMatchObject({ display_name: displayName, database })
      expectSame(JSON.parse(stored.metadata), JSON.parse(JSON.stringify(metadata)))
      tally.accepted++
    }
  })

  test('are found by any filter, which harms nothing', async () => {
    const all = await tenantry.tenants.list({ limit: 1_000 })
    const texts = all.flatMap(({ displayName }) => (displayName ? [displayName] : []))
    const some = <T>(values: readonly T[]) => fc.constantFrom(...values)
    const filter = fc.record(
      {
        search: fc.oneof(hostileText, some(texts), notText, longText),
        server: fc.oneof(hostileText, fc.constant('main'), notText),
        version: fc.oneof(hostileText, fc.constantFrom<unknown>(1, 0, -1, 2 ** 31, Infinity), notText),
        metadata: fc.oneof(
          anyMetadata,
          some(all).map(({ metadata }) => metadata),
        ),
        after: fc.oneof(idText, notText),
        state: fc.oneof(hostileText, fc.constantFrom<unknown>('active', ['active', 'suspended']), notText),
      },
      { requiredKeys: [] },
    )
    // Mostly one at a time, so that one is not hidden behind the refusal of another.
    const one = filter.chain((it) =>
      some(
        Object.entries(it)
          .map(([name, value]) => ({ [name]: value }))
          .concat(it),
      ),
    )
    await world.unchanged(async () => {
      await fc.assert(
        fc.asyncProperty(one, (options) => expectListed(all, options)),
        runs(cases.filters),
      )
    })
  })
})

describe('properties of a tenant', () => {
  const told = fc.record(
    {
      displayName: fc.oneof(
        { weight: 8, arbitrary: hostileText },
        { weight: 1, arbitrary: longText },
        { weight: 1, arbitrary: notText },
      ),
      metadata: anyMetadata,
      actor: fc.oneof({ weight: 8, arbitrary: hostileText }, { weight: 1, arbitrary: notText }),
    },
    { requiredKeys: [] },
  )
  const lane = fc.constantFrom(...lanes)
  const verbs = fc.constantFrom('onboard', 'clone', 'adopt', 'update')

  test('is kept as it is, or refused before anything is touched', async () => {
    await world.unchanged(
      async () => {
        await fc.assert(fc.asyncProperty(told, lane, verbs, expectTold), runs(cases.told))
      },
      ...lanes,
    )
    for (const id of lanes) expect(await tenantry.tenants.get(id)).toMatchObject({ id, state: 'active' })
  })
})

describe('an id', () => {
  const anyId = fc.oneof(
    { weight: 12, arbitrary: idText },
    { weight: 2, arbitrary: notText },
    { weight: 1, arbitrary: longText },
  )
  const calls: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
    get: (id) => tenantry.tenants.get(id),
    history: (id) => tenantry.tenants.history(id),
    onboard: (id) => tenantry.onboard(id),
    update: (id) => tenantry.tenants.update(id, { displayName: 'x' }),
    suspend: (id) => tenantry.tenants.suspend(id),
    resume: (id) => tenantry.tenants.resume(id),
    offboard: (id) => tenantry.tenants.offboard(id),
    restore: (id) => tenantry.tenants.restore(id),
    purge: (id) => tenantry.tenants.purge(id),
    cloneOf: (id) => tenantry.tenants.clone(id, 'refused'),
    cloneTo: (id) => tenantry.tenants.clone('lane-1', id),
    adopt: (id) => tenantry.tenants.adopt(id, { database: world.canary }),
    check: (id) => tenantry.tenants.check(id),
    environment: (id) => tenantry.tenants.environment(id),
    with: (id) => tenantry.with(id, () => 1),
    run: (id) => tenantry.run(id, () => 1),
    after: (id) => tenantry.tenants.list({ after: id }),
  }
  const call = fc.constantFrom(...Object.keys(calls))

  test('is refused as one by every call, or is that of a missing tenant', async () => {
    await world.unchanged(async () => {
      await fc.assert(fc.asyncProperty(anyId, call, expectUnknown), runs(cases.ids))
    })
  })

  async function expectUnknown(id: unknown, name: string): Promise<void> {
    const invoke = () => calls[name]!(id as string)
    if (!isId(id)) {
      await expectRefused(invoke, 'invalid-tenant-id')
      return
    }
    tally.accepted++
    const known = await tenantry.tenants.get(id)
    expect(known?.id ?? id).toBe(id)
    // Verbs that make and end a tenant are tried elsewhere, with fewer cases.
    if (known !== undefined || ['onboard', 'cloneTo'].includes(name)) return
    const result = await attempt(invoke)
    if ('error' in result) expect(['tenant-unknown', 'verification-failed']).toContain(result.error.code)
    else expect(['get', 'history', 'after']).toContain(name)
  }
})

async function expectListed(all: readonly Tenant[], options: Record<string, unknown>): Promise<void> {
  if (!isFilter(options)) {
    return expectRefused(() => tenantry.tenants.list(options), 'invalid-option', 'invalid-tenant-id')
  }
  const result = await attempt(() => tenantry.tenants.list({ ...(options as ListOptions), limit: 1_000 }))
  if ('error' in result) throw result.error
  const found = result.value.map(({ id }) => id)
  const { search, after } = options
  if (isText(search) && /^[ -~]+$/.test(search) && Object.keys(options).length === 1) {
    const wasFound = new Set(found)
    for (const { id, displayName = '' } of all) {
      const texts = [id, displayName]
      const isIn = (fold: (text: string) => string) => texts.some((text) => fold(text).includes(fold(search)))
      // The server's locale decides on the small letter of such as the sign for kelvin.
      if (isIn(lower)) expect(wasFound).toContain(id)
      else if (!isIn((text) => text.toLowerCase())) expect(wasFound).not.toContain(id)
    }
  }
  for (const { id, displayName } of all) {
    const isFound = typeof search === 'string' && displayName?.includes(search) === true
    if (isFound && Object.keys(options).length === 1) expect(found).toContain(id)
    if (typeof after === 'string' && id <= after) expect(found).not.toContain(id)
  }
  tally.accepted++
}

async function expectTold(given: Record<string, unknown>, id: string, verb: string): Promise<void> {
  const options = given as UpdateOptions
  if (isTellable(given, verb === 'update')) return expectUpdated(id, options)
  const others: Record<string, () => Promise<unknown>> = {
    onboard: () => tenantry.onboard('refused', options as OnboardOptions),
    clone: () => tenantry.tenants.clone(id, 'refused', options as OnboardOptions),
    adopt: () => tenantry.tenants.adopt('refused', { ...(options as OnboardOptions), database: world.canary }),
  }
  await expectRefused(others[verb] ?? (() => tenantry.tenants.update(id, options)), 'invalid-option')
}

async function expectUpdated(id: string, options: UpdateOptions): Promise<void> {
  await world.forget(id)
  const result = await attempt(() => tenantry.tenants.update(id, options))
  if ('error' in result) throw result.error
  const metadata = options.metadata === undefined ? {} : merged(options.metadata)
  const displayName = options.displayName ?? undefined
  const isNew = displayName !== undefined || !isDeepStrictEqual(metadata, {})
  const { outcome, tenant } = result.value
  expect(outcome).toBe(isNew ? 'updated' : 'unchanged')
  const read = await tenantry.tenants.get(id)
  const stored = await world.stored(id)
  for (const it of [tenant.metadata, read?.metadata, JSON.parse(stored.metadata)]) expectSame(it, metadata)
  expect([tenant.displayName, read?.displayName]).toEqual([displayName, displayName])
  expect(stored.display_name ?? undefined).toBe(displayName)
  if (isNew) expect((await tenantry.tenants.history(id, { limit: 1 }))[0]?.actor).toBe(options.actor)
  tally.accepted++
}

const states = ['onboarding', 'active', 'suspended', 'offboarded', 'purging']

function isFilter({ search, server, version, metadata, after, state }: Record<string, unknown>): boolean {
  const isState = (it: unknown) => typeof it === 'string' && states.includes(it)
  return (
    [search, server].every((it) => it === undefined || isText(it)) &&
    (version === undefined ||
      isText(version) ||
      (Number.isInteger(version) && Number(version) > 0 && Number(version) < 2 ** 31)) &&
    (metadata === undefined || isStorable(metadata)) &&
    (after === undefined || isId(after)) &&
    (state === undefined || isState(state) || (Array.isArray(state) && state.length > 0 && state.every(isState)))
  )
}

function isTellable({ displayName, metadata, actor }: Record<string, unknown>, isUpdate: boolean): boolean {
  return (
    (displayName === undefined || (isUpdate && displayName === null) || isText(displayName)) &&
    (metadata === undefined || isStorable(metadata)) &&
    (actor === undefined || (isText(actor) && actor.length <= 200))
  )
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z0-9-]{1,40}$/.test(value) && !value.startsWith('-') && !value.endsWith('-')
}

/** Lowers plain ASCII, as PostgreSQL does. */
function lower(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** A key "__proto__" is one like any other here. */
function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected))
    expect.fail(`It is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`)
}
