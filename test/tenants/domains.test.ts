import type { EntityManager } from '@mikro-orm/postgresql'
import type { TenantEvent, TenantryError } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { type DnsServer, startDnsServer } from '../support/dns-server.ts'
import { errorOf, sql } from '../support/server.ts'
import { inCatalog, onChange, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })
const given = { proof: 'given' } as const

let tenantry: TestTenantry<EntityManager>
let dns: DnsServer
let count = 0
/** A domain that no other test uses. */
const fresh = () => `shop-${count++}.example`

beforeAll(async () => {
  dns = await startDnsServer()
  tenantry = await openTestTenantry(models)
  for (const id of ['a', 'b']) await tenantry.onboard(id)
})

const records = () =>
  inCatalog(
    tenantry,
    `select (select json_agg(domain order by domain) from tenantry.domain) as domains,
            (select count(*) from tenantry.audit) as audit`,
  )

describe('a domain', () => {
  it('is added, verified and removed; each may be repeated, and is recorded and emitted once', async () => {
    const domain = fresh()
    const events: TenantEvent[] = []
    const end = onChange(tenantry, (event) => events.push(event))
    const by = { actor: 'anna' }
    const { outcome, domain: added } = await tenantry.domains.add('a', domain, by)
    expect(outcome).toBe('added')
    expect(added).toMatchObject({ domain, tenant: 'a', verified: false, verifiedAt: undefined })
    expect(added.record).toEqual({
      type: 'TXT',
      name: `_tenantry.${domain}`,
      value: expect.stringMatching(/^tenantry-domain=[0-9a-f]{32}$/) as string,
    })
    expect(await tenantry.domains.add('a', domain, by)).toEqual({ outcome: 'already-added', domain: added })
    const verified = await tenantry.domains.verify('a', domain, { ...given, ...by })
    expect(verified).toMatchObject({
      outcome: 'verified',
      domain: { ...added, verified: true, verifiedAt: expect.any(Date) as Date },
    })
    expect(await tenantry.domains.verify('a', domain, by)).toEqual({ ...verified, outcome: 'already-verified' })
    expect(await tenantry.domains.add('a', domain, by)).toEqual({ outcome: 'already-added', domain: verified.domain })
    expect(await tenantry.domains.get(domain)).toEqual(verified.domain)
    expect(await tenantry.domains.list('a')).toEqual([verified.domain])
    expect(await tenantry.domains.remove('a', domain, by)).toEqual({ outcome: 'removed' })
    expect(await tenantry.domains.remove('a', domain, by)).toEqual({ outcome: 'already-removed' })
    expect(await tenantry.domains.get(domain)).toBeUndefined()
    end()
    const verbs = ['add-domain', 'verify-domain', 'remove-domain']
    const common = { tenant: 'a', from: 'active', to: 'active', domain }
    const history = (await tenantry.tenants.history('a')).filter((entry) => entry.domain === domain).toReversed()
    expect(history).toMatchObject(verbs.map((verb) => ({ ...common, verb, actor: 'anna', outcome: 'done' })))
    expect(events).toMatchObject(verbs.map((verb) => ({ ...common, verb, server: 'main' })))
  })

  it('is routed to its tenant once it is verified, until it is removed, in any spelling', async () => {
    const domain = fresh()
    const spellings = [domain, domain.toUpperCase(), `${domain}.`]
    const routed = () =>
      Promise.all(spellings.map(async (spelling) => (await tenantry.domains.tenantOf(spelling))?.tenant))
    expect(await routed()).toEqual([undefined, undefined, undefined])
    await tenantry.domains.add('a', `${domain.toUpperCase()}.`)
    expect(await routed()).toEqual([undefined, undefined, undefined])
    await tenantry.domains.verify('a', domain, given)
    expect(await routed()).toEqual(['a', 'a', 'a'])
    await tenantry.domains.remove('a', domain)
    expect(await routed()).toEqual([undefined, undefined, undefined])
  })

  it('in another script is its ASCII', async () => {
    const { domain } = await tenantry.domains.add('a', 'Bücher.example')
    expect(domain.domain).toBe('xn--bcher-kva.example')
    await tenantry.domains.verify('a', 'BÜCHER.example', given)
    expect(await tenantry.domains.tenantOf(domain.domain)).toMatchObject({ tenant: 'a' })
    expect(await tenantry.domains.add('a', domain.domain)).toMatchObject({ outcome: 'already-added' })
    await tenantry.domains.remove('a', 'bücher.example')
  })

  it.each(['localhost', '*.example.com', 'example.com:80', '127.0.0.1', '\u202eshop.example', 'a\0.example', '', 7])(
    'that is none (%j) is refused by every verb, and belongs to no tenant',
    async (text) => {
      const before = await records()
      const domain = text as string
      const calls = [
        () => tenantry.domains.add('a', domain),
        () => tenantry.domains.verify('a', domain, given),
        () => tenantry.domains.remove('a', domain),
        () => tenantry.domains.get(domain),
        () => tenantry.domains.list('a', { after: domain }),
      ]
      for (const call of calls) {
        const error = (await errorOf(call())) as TenantryError
        expect(error).toMatchObject({ name: 'TenantryError', code: 'invalid-domain', retryable: false })
        expect(error.message).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u)
      }
      expect(await tenantry.domains.tenantOf(domain)).toBeUndefined()
      expect(await records()).toEqual(before)
    },
  )

  it('for an unknown tenant, with an option that is none or of one that is purging is refused', async () => {
    const domain = fresh()
    for (const call of [
      () => tenantry.domains.add('nobody', domain),
      () => tenantry.domains.verify('nobody', domain),
      () => tenantry.domains.remove('nobody', domain),
      () => tenantry.domains.list('nobody'),
    ]) {
      expect(await errorOf(call())).toMatchObject({ code: 'tenant-unknown', tenant: 'nobody' })
    }
    for (const call of [
      () => tenantry.domains.add('a', domain, { verified: true } as object),
      () => tenantry.domains.add('a', domain, { actor: 'x'.repeat(201) }),
      () => tenantry.domains.verify('a', domain, { proof: 'none' as never }),
      () => tenantry.domains.remove('a', domain, { actor: '\0' }),
      () => tenantry.domains.list('a', { limit: 0 }),
    ]) {
      expect(await errorOf(call())).toMatchObject({ code: 'invalid-option' })
    }
    expect(await errorOf(tenantry.domains.add('A B', domain))).toMatchObject({ code: 'invalid-tenant-id' })
    await tenantry.onboard('purging')
    await tenantry.domains.add('purging', domain)
    await inCatalog(tenantry, `update tenantry.tenant set state = 'purging' where id = 'purging'`)
    expect(await errorOf(tenantry.domains.add('purging', fresh()))).toMatchObject({ code: 'tenant-state' })
    expect(await errorOf(tenantry.domains.verify('purging', domain, given))).toMatchObject({ code: 'tenant-state' })
  })

  it('is listed in order, a page at a time', async () => {
    await tenantry.onboard('many')
    const all = Array.from({ length: 7 }, (_, i) => `page-${i}.example`)
    for (const domain of all.toReversed()) await tenantry.domains.add('many', domain)
    const page = async (options: object) => (await tenantry.domains.list('many', options)).map(({ domain }) => domain)
    expect(await page({})).toEqual(all)
    expect(await page({ limit: 3 })).toEqual(all.slice(0, 3))
    expect(await page({ limit: 3, after: 'PAGE-2.example.' })).toEqual(all.slice(3, 6))
    expect(await page({ after: 'page-6.example' })).toEqual([])
  })

  it('with a signal that is aborted is not waited for', async () => {
    const aborted = { signal: AbortSignal.abort() }
    const domain = fresh()
    expect(await errorOf(tenantry.domains.add('a', domain, aborted))).toMatchObject({ code: 'aborted' })
    expect(await errorOf(tenantry.domains.tenantOf(domain, aborted))).toMatchObject({ code: 'aborted' })
    expect(await tenantry.domains.get(domain)).toBeUndefined()
  })
})

describe('a domain of another tenant', () => {
  it('is refused without naming its tenant; neither verb reaches it', async () => {
    const domain = fresh()
    const { domain: added } = await tenantry.domains.add('a', domain)
    const before = await records()
    const taken = (await errorOf(tenantry.domains.add('b', domain))) as TenantryError
    expect(taken).toMatchObject({ code: 'domain-taken', tenant: 'b', retryable: false })
    const told = [taken.message, taken.hint].join(' ')
    expect(told).not.toMatch(/tenant a\b/)
    expect(await errorOf(tenantry.domains.verify('b', domain, given))).toMatchObject({ code: 'domain-unknown' })
    expect(await tenantry.domains.remove('b', domain)).toEqual({ outcome: 'already-removed' })
    expect(await tenantry.domains.get(domain)).toEqual(added)
    expect(await records()).toEqual(before)
    await tenantry.domains.remove('a', domain)
    expect(await tenantry.domains.add('b', domain)).toMatchObject({ outcome: 'added', domain: { tenant: 'b' } })
  })

  it('is given to exactly one of twenty tenants that add it at once in two processes', async () => {
    const other = await openTestTenantry(models, { installation: tenantry.installation })
    const ids = Array.from({ length: 20 }, (_, i) => `racer-${i}`)
    await Promise.all(ids.map((id) => tenantry.onboard(id)))
    for (let round = 0; round < 5; round++) {
      const domain = fresh()
      const results = await Promise.allSettled(
        ids.map((id, i) => (i % 2 ? tenantry : other).domains.add(id, domain, { actor: id })),
      )
      const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      expect(won).toMatchObject([{ outcome: 'added' }])
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'domain-taken' })
      const entries = await inCatalog(tenantry, 'select tenant, actor from tenantry.audit where domain = $1', [domain])
      const tenant = won[0]?.domain.tenant
      expect(entries).toEqual([{ tenant, actor: tenant }])
    }
  })

  it('of one tenant by many calls at once is added once', async () => {
    const domain = fresh()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => tenantry.domains.add('a', domain)))
    expect(outcomes.filter(({ outcome }) => outcome === 'added')).toHaveLength(1)
    const verified = await Promise.all(Array.from({ length: 20 }, () => tenantry.domains.verify('a', domain, given)))
    expect(verified.filter(({ outcome }) => outcome === 'verified')).toHaveLength(1)
  })
})

describe('the proof in the DNS', () => {
  it('is looked for under a name of its own, and found in one record among others, in parts or whole', async () => {
    const domain = fresh()
    const { record } = (await tenantry.domains.add('a', domain)).domain
    const notProven = { outcome: 'not-proven', domain: { verified: false } }
    expect(await tenantry.domains.verify('a', domain)).toMatchObject(notProven)
    dns.records.set(record.name, [])
    expect(await tenantry.domains.verify('a', domain)).toMatchObject(notProven)
    dns.records.set(record.name, [['v=spf1 -all'], [`${record.value}0`], [record.value, '0'], [record.value.slice(1)]])
    expect(await tenantry.domains.verify('a', domain)).toMatchObject(notProven)
    expect(await tenantry.domains.tenantOf(domain)).toBeUndefined()
    dns.records.set(record.name, [['v=spf1 -all'], [record.value.slice(0, 20), record.value.slice(20)]])
    expect(await tenantry.domains.verify('a', domain)).toMatchObject({ outcome: 'verified' })
    expect(await tenantry.domains.tenantOf(domain)).toMatchObject({ tenant: 'a' })
    expect(dns.asked.filter((name) => name === domain)).toEqual([])
  })

  it('of one tenant is none for another, nor for the same after the domain was removed', async () => {
    const domain = fresh()
    const { record } = (await tenantry.domains.add('a', domain)).domain
    dns.records.set(record.name, [[record.value]])
    await tenantry.domains.remove('a', domain)
    await tenantry.domains.add('b', domain)
    expect(await tenantry.domains.verify('b', domain)).toMatchObject({ outcome: 'not-proven' })
    await tenantry.domains.remove('b', domain)
    await tenantry.domains.add('a', domain)
    expect(await tenantry.domains.verify('a', domain)).toMatchObject({ outcome: 'not-proven' })
  })

  it.each(['a', 'b'])(
    'is worth nothing if the domain was removed and added by %s while it was looked for',
    async (id) => {
      const domain = fresh()
      const { record } = (await tenantry.domains.add('a', domain)).domain
      dns.records.set(record.name, [[record.value]])
      dns.beforeAnswer = async () => {
        dns.beforeAnswer = undefined
        await tenantry.domains.remove('a', domain)
        await tenantry.domains.add(id, domain)
      }
      expect(await errorOf(tenantry.domains.verify('a', domain))).toMatchObject({ code: 'domain-unknown', tenant: 'a' })
      expect(await tenantry.domains.get(domain)).toMatchObject({ tenant: id, verified: false })
      expect(await tenantry.domains.tenantOf(domain)).toBeUndefined()
    },
  )

  it('is not waited for after an abort', async () => {
    const domain = fresh()
    await tenantry.domains.add('a', domain)
    const caller = new AbortController()
    dns.beforeAnswer = async () => caller.abort()
    const error = await errorOf(tenantry.domains.verify('a', domain, { signal: caller.signal }))
    dns.beforeAnswer = undefined
    expect(error).toMatchObject({ code: 'aborted' })
  })

  it('that cannot be looked up is an error, and changes nothing', async () => {
    const domain = fresh()
    await tenantry.domains.add('a', domain)
    dns.isFailing = true
    const error = (await errorOf(tenantry.domains.verify('a', domain))) as TenantryError
    dns.isFailing = false
    expect(error).toMatchObject({ code: 'domain-lookup-failed', retryable: true })
    expect(error.hint).toMatch(/SERVFAIL/)
    expect(await tenantry.domains.get(domain)).toMatchObject({ verified: false })
  })

  it('is not looked for once it was found', async () => {
    const domain = fresh()
    await tenantry.domains.add('a', domain)
    await tenantry.domains.verify('a', domain, given)
    expect(await tenantry.domains.verify('a', domain)).toMatchObject({ outcome: 'already-verified' })
    expect(dns.asked).not.toContain(`_tenantry.${domain}`)
  })
})

describe('the domains of a tenant', () => {
  it('stay while it is out of service, are not copied, and are free once it is purged', async () => {
    const [domain, reserved] = [fresh(), fresh()]
    await tenantry.onboard('life')
    await tenantry.domains.add('life', domain)
    await tenantry.domains.add('life', reserved)
    await tenantry.domains.verify('life', domain, given)
    const names = async (id: string) => (await tenantry.domains.list(id)).map((listed) => listed.domain as string)
    await tenantry.tenants.clone('life', 'copy')
    expect(await names('copy')).toEqual([])
    for (const verb of ['suspend', 'resume', 'offboard', 'restore', 'offboard'] as const) {
      await tenantry.tenants[verb]('life')
      expect(await names('life')).toEqual([domain, reserved])
      expect(await tenantry.domains.tenantOf(domain)).toMatchObject({ tenant: 'life' })
      expect(await errorOf(tenantry.domains.add('b', reserved))).toMatchObject({ code: 'domain-taken' })
    }
    expect(await errorOf(tenantry.with('life', () => 1))).toMatchObject({ code: 'tenant-not-active' })
    await tenantry.tenants.purge('life')
    expect(await tenantry.domains.tenantOf(domain)).toBeUndefined()
    for (const name of [domain, reserved]) expect(await tenantry.domains.get(name)).toBeUndefined()
    expect(await tenantry.domains.add('b', domain)).toMatchObject({ outcome: 'added' })
    // Another one of the same id has nothing of it.
    await tenantry.onboard('life')
    expect(await names('life')).toEqual([])
    expect((await tenantry.tenants.history('life')).filter((entry) => entry.domain === domain)).toHaveLength(2)
  })

  it('go with one that was never finished', async () => {
    const domain = fresh()
    const broken = await openTestTenantry(models, {
      installation: tenantry.installation,
      hooks: { initialise: () => Promise.reject(new Error('not today')) },
    })
    expect(await errorOf(broken.onboard('unfinished'))).toMatchObject({ code: 'hook-failed' })
    await tenantry.domains.add('unfinished', domain)
    await tenantry.domains.verify('unfinished', domain, given)
    expect(await tenantry.domains.tenantOf(domain)).toMatchObject({ tenant: 'unfinished' })
    await tenantry.tenants.purge('unfinished')
    expect(await tenantry.domains.tenantOf(domain)).toBeUndefined()
  })
})

it('means the tenant that had it at the look-up, not another that has the id since', async () => {
  const domain = fresh()
  await tenantry.onboard('before')
  await tenantry.domains.add('before', domain)
  await tenantry.domains.verify('before', domain, given)
  const asked = (await tenantry.domains.tenantOf(domain))!
  expect(await tenantry.with(asked, () => tenantry.currentTenant())).toBe('before')
  await tenantry.tenants.offboard('before')
  await tenantry.tenants.purge('before')
  await tenantry.onboard('before')
  expect(await errorOf(tenantry.with(asked, () => 1))).toMatchObject({ code: 'tenant-unknown', tenant: 'before' })
})

describe('another process', () => {
  /** Waits until it has notice that a domain is that tenant's, or no tenant's. */
  const expectSeen = async (other: TestTenantry<unknown>, domain: string, tenant: string | undefined) => {
    const seen = async () => (await other.domains.tenantOf(domain))?.tenant
    await expect.poll(seen, { timeout: 10_000, interval: 5 }).toBe(tenant)
  }

  it.each(['full', 'router'] as const)('(%s) receives every change', async (mode) => {
    const other = await openTestTenantry(models, { installation: tenantry.installation, mode })
    const domain = fresh()
    await tenantry.onboard(`heard-${mode}`)
    await expectSeen(other, domain, undefined)
    await tenantry.domains.add(`heard-${mode}`, domain)
    await tenantry.domains.verify(`heard-${mode}`, domain, given)
    await expectSeen(other, domain, `heard-${mode}`)
    await tenantry.domains.remove(`heard-${mode}`, domain)
    await expectSeen(other, domain, undefined)
    await tenantry.domains.add(`heard-${mode}`, domain)
    await tenantry.domains.verify(`heard-${mode}`, domain, given)
    await expectSeen(other, domain, `heard-${mode}`)
    await tenantry.tenants.offboard(`heard-${mode}`)
    await tenantry.tenants.purge(`heard-${mode}`)
    await expectSeen(other, domain, undefined)
  })

  it('receives changes by hand', async () => {
    const domain = fresh()
    await tenantry.domains.add('a', domain)
    await tenantry.domains.verify('a', domain, given)
    expect(await tenantry.domains.tenantOf(domain)).toMatchObject({ tenant: 'a' })
    await inCatalog(tenantry, 'delete from tenantry.domain where domain = $1', [domain])
    await expectSeen(tenantry, domain, undefined)
  })

  it("receives the removal of a tenant's row by a program that knows nothing of domains, such as an older Tenantry", async () => {
    const domain = fresh()
    await tenantry.onboard('row')
    await tenantry.domains.add('row', domain)
    await tenantry.domains.verify('row', domain, given)
    expect(await tenantry.domains.tenantOf(domain)).toMatchObject({ tenant: 'row' })
    await inCatalog(tenantry, `delete from tenantry.tenant where id = 'row'`)
    await expectSeen(tenantry, domain, undefined)
    expect(await tenantry.domains.get(domain)).toBeUndefined()
  })

  it('that lost its listening connection trusts in nothing it remembered', async () => {
    const other = await openTestTenantry(models, { installation: tenantry.installation })
    const domain = fresh()
    await tenantry.domains.add('a', domain)
    await tenantry.domains.verify('a', domain, given)
    expect(await other.domains.tenantOf(domain)).toMatchObject({ tenant: 'a' })
    await inCatalog(tenantry, 'alter table tenantry.domain disable trigger domain_told')
    await tenantry.domains.remove('a', domain)
    await inCatalog(tenantry, 'alter table tenantry.domain enable trigger domain_told')
    // No notice has reached it.
    expect(await other.domains.tenantOf(domain)).toMatchObject({ tenant: 'a' })
    await sql(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = $1 and query ilike any(array['listen %', '%pg_advisory_lock_shared%', 'select 1'])
         and pid <> pg_backend_pid()`,
      [`${tenantry.installation}_catalog`],
    )
    await expectSeen(other, domain, undefined)
  })
})
