import { defineEntity, p } from '@mikro-orm/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import {
  type AddedDomain,
  type CheckedDatabase,
  type ErrorCode,
  type FleetResult,
  openTenantry,
  type Tenant,
  type TenantDomain,
  type CapturedTenant,
  type TenantResult,
  type Tenantry,
  TenantryError,
} from 'tenantry'
import { startEmbeddedPostgres } from 'tenantry/embedded'
import { type Models, mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { expectTypeOf, test } from 'vitest'

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary(), text: p.string() } })
const models = mikroOrm({ entities: [Note] })

test("with hands over the ORM's own type", async () => {
  expectTypeOf(models).toEqualTypeOf<Models<EntityManager>>()
  const tenantry = await openTenantry({ models, servers: [postgres({ url: 'postgresql://localhost' })] })
  expectTypeOf(tenantry).toEqualTypeOf<Tenantry<EntityManager>>()
  await tenantry.with('acme', (em) => expectTypeOf(em).toEqualTypeOf<EntityManager>())
})

test('with returns the result of the work', async () => {
  const tenantry = await openTenantry({ models })
  const notes = await tenantry.with('acme', (em) => em.find(Note, {}))
  expectTypeOf(notes[0]?.text).toEqualTypeOf<string | undefined>()
  expectTypeOf(await tenantry.with('acme', () => 7)).toEqualTypeOf<number>()
  expectTypeOf(await tenantry.run('acme', async () => 'x')).toEqualTypeOf<string>()
})

test('a fleet query returns the result or the error of its work, for each tenant', async () => {
  const tenantry = await openTenantry({ models })
  const found = await tenantry.forEach(async (em, tenant) => {
    expectTypeOf(em).toEqualTypeOf<EntityManager>()
    expectTypeOf(tenant).toEqualTypeOf<Tenant>()
    return em.count(Note)
  })
  expectTypeOf(found).toEqualTypeOf<FleetResult<number>>()
  for (const result of found.results) {
    if (result.outcome === 'done') expectTypeOf(result.value).toEqualTypeOf<number>()
    else expectTypeOf(result.error).toEqualTypeOf<unknown>()
    // @ts-expect-error -- there is a value only where it was done
    expectTypeOf(result.value)
  }
  if (found.ended === 'interrupted') expectTypeOf(found.error).toEqualTypeOf<unknown>()
  await tenantry.forEach((_, { id }) => id.length, {
    onProgress: ({ total }, last) => {
      expectTypeOf(total).toEqualTypeOf<number>()
      expectTypeOf(last).toEqualTypeOf<TenantResult<number>>()
    },
  })
  // @ts-expect-error -- only active tenants are worked on
  await tenantry.forEach(() => 1, { filter: { state: 'suspended' } })
})

test('a handle of another ORM keeps its type', async () => {
  interface Other {
    readonly other: true
  }
  const tenantry = await openTenantry({ models: {} as Models<Other> })
  await tenantry.with('acme', (handle) => expectTypeOf(handle).toEqualTypeOf<Other>())
})

test('the place of the database cannot be given to the adapter', () => {
  // @ts-expect-error -- dbName is not mikroOrm's to know
  expectTypeOf(mikroOrm({ entities: [Note], dbName: 'x' }))
  // @ts-expect-error -- without entities there are no models
  expectTypeOf(mikroOrm({}))
})

test('outcomes and codes can be branched on', () => {
  expectTypeOf<CheckedDatabase['outcome']>().toEqualTypeOf<'database-missing' | 'matches' | 'differs' | 'unverified'>()
  expectTypeOf(new TenantryError('timeout', '').code).toEqualTypeOf<ErrorCode>()
  // @ts-expect-error -- not a code
  expectTypeOf(new TenantryError('no-such-code', ''))
})

test('an embedded server gives its URL and how to stop it', () => {
  expectTypeOf(startEmbeddedPostgres).returns.resolves.toHaveProperty('url').toEqualTypeOf<string>()
  expectTypeOf(startEmbeddedPostgres).returns.resolves.toHaveProperty('stop').toEqualTypeOf<() => Promise<void>>()
})

test("a domain's tenant is one that with takes, or none", async () => {
  const tenantry = await openTenantry({ models })
  const tenant = await tenantry.domains.tenantOf('shop.example.com')
  expectTypeOf(tenant).toEqualTypeOf<CapturedTenant | undefined>()
  if (tenant !== undefined) await tenantry.with(tenant, (em) => em.count(Note))
  const { outcome, domain } = await tenantry.domains.verify('acme', 'shop.example.com', { proof: 'given' })
  expectTypeOf(outcome).toEqualTypeOf<'verified' | 'already-verified' | 'not-proven'>()
  expectTypeOf(domain).toEqualTypeOf<TenantDomain>()
  expectTypeOf(domain.verifiedAt).toEqualTypeOf<Date | undefined>()
  expectTypeOf(await tenantry.domains.add('acme', 'x.example')).toEqualTypeOf<AddedDomain>()
  // @ts-expect-error -- not a proof
  expectTypeOf(await tenantry.domains.verify('acme', 'shop.example.com', { proof: 'said' }))
})
