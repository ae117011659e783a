import * as fc from 'fast-check'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, expect, test } from 'vitest'
import { readDomain } from '../../../dist/kernel/domain-names.js'
import { Address, User } from '../../../examples/service/models.ts'
import { inCatalog, openTestTenantry, type TestTenantry } from '../../support/tenants.ts'
import { attempt, expectRefused } from './refusal.ts'
import { cases, printSeed, runs, tally } from './seed.ts'
import { hostileText, longText, notText } from './texts.ts'
import { watch, type World } from './world.ts'

printSeed('domains through the library')

let tenantry: TestTenantry<unknown>
let world: World
beforeAll(async () => {
  tenantry = await openTestTenantry<unknown>(mikroOrm({ entities: [User, Address] }))
  await tenantry.onboard('lane')
  world = await watch(tenantry.installation)
})

const anyDomain = fc.oneof(
  { weight: 4, arbitrary: hostileText },
  { weight: 4, arbitrary: fc.tuple(hostileText, fc.domain()).map(([text, domain]) => text + domain) },
  { weight: 2, arbitrary: fc.tuple(fc.domain(), hostileText).map(([domain, text]) => domain + text) },
  { weight: 2, arbitrary: fc.domain() },
  { weight: 1, arbitrary: notText },
  { weight: 1, arbitrary: longText },
)

test('a domain is kept in the one form that it has, or refused by every call before anything is touched', async () => {
  await world.unchanged(async () => {
    await fc.assert(fc.asyncProperty(anyDomain, expectKeptOrRefused), runs(cases.domains))
  }, 'lane')
  expect(await inCatalog(tenantry, 'select * from tenantry.domain')).toEqual([])
})

async function expectKeptOrRefused(given: unknown): Promise<void> {
  const text = given as string
  const domain = readDomain(text)
  if (domain === undefined) {
    await expectRefused(() => tenantry.domains.add('lane', text), 'invalid-domain')
    await expectRefused(() => tenantry.domains.verify('lane', text, { proof: 'given' }), 'invalid-domain')
    await expectRefused(() => tenantry.domains.remove('lane', text), 'invalid-domain')
    await expectRefused(() => tenantry.domains.get(text), 'invalid-domain')
    expect(await attempt(() => tenantry.domains.tenantOf(text))).toEqual({ value: undefined })
    return
  }
  expect(await tenantry.domains.add('lane', text)).toMatchObject({ outcome: 'added', domain: { domain } })
  expect(await tenantry.domains.verify('lane', text, { proof: 'given' })).toMatchObject({ outcome: 'verified' })
  expect(await tenantry.domains.tenantOf(text)).toMatchObject({ tenant: 'lane' })
  expect(await tenantry.domains.remove('lane', text)).toEqual({ outcome: 'removed' })
  tally.accepted++
}
