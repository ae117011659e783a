import type { ListOptions } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf } from '../support/server.ts'
import { firstFingerprint, inCatalog, openTestTenantry, snapshot, type TestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

describe('update', () => {
  let tenantry: TestTenantry<unknown>
  beforeAll(async () => {
    tenantry = await openTestTenantry<unknown>(models)
  })

  it('changes the display name and merges the metadata by RFC 7396', async () => {
    await tenantry.onboard('a', {
      displayName: 'A',
      metadata: { plan: 'pro', limits: { seats: 3, disk: 9 }, tags: [1] },
    })
    const patch = { plan: null, limits: { seats: 5, disk: null }, tags: [2, 3], owner: { name: 'O' } }
    const { outcome, tenant } = await tenantry.tenants.update('a', { displayName: 'B', metadata: patch })
    expect(outcome).toBe('updated')
    const metadata = { limits: { seats: 5 }, tags: [2, 3], owner: { name: 'O' } }
    expect(tenant).toMatchObject({ displayName: 'B', state: 'active' })
    expect(tenant.metadata).toEqual(metadata)
    expect(await tenantry.tenants.get('a')).toEqual(tenant)
  })

  it('keeps absent fields, and removes the display name with null', async () => {
    await tenantry.onboard('b', { displayName: 'B', metadata: { plan: 'pro' } })
    await tenantry.tenants.update('b', { metadata: { seats: 1 } })
    expect(await tenantry.tenants.get('b')).toMatchObject({ displayName: 'B', metadata: { plan: 'pro', seats: 1 } })
    await tenantry.tenants.update('b', { displayName: null })
    expect(await tenantry.tenants.get('b')).toMatchObject({
      displayName: undefined,
      metadata: { plan: 'pro', seats: 1 },
    })
  })

  it('that changes nothing reports it and writes nothing', async () => {
    await tenantry.onboard('c', { displayName: 'C', metadata: { plan: 'pro', deep: { x: [1] } } })
    const before = await snapshot(tenantry)
    for (const options of [
      {},
      { displayName: 'C' },
      { metadata: { deep: { x: [1] }, none: null } },
      { metadata: {} },
    ]) {
      expect(await tenantry.tenants.update('c', options)).toMatchObject({ outcome: 'unchanged' })
    }
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('by many at once is carried out by each', async () => {
    await tenantry.onboard('d')
    const other = await openTestTenantry<unknown>(models, { installation: tenantry.installation })
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`)
    const all = keys.map((key, i) => (i % 2 ? tenantry : other).tenants.update('d', { metadata: { [key]: i } }))
    for (const { outcome } of await Promise.all(all)) expect(outcome).toBe('updated')
    expect(Object.keys((await tenantry.tenants.get('d'))?.metadata ?? {}).toSorted()).toEqual(keys.toSorted())
  })

  it.each([`'; drop table tenantry.tenant; --`, '$1', '%s', '"\\', '🦑\n\t', '__proto__', 'constructor', ''])(
    'keeps the text %j as it is',
    async (text) => {
      await tenantry.onboard('e')
      const metadata = Object.fromEntries([
        [text, text],
        ['list', [text]],
      ])
      await tenantry.tenants.update('e', { displayName: text, metadata })
      const found = await tenantry.tenants.get('e')
      expect(found?.displayName).toBe(text)
      expect(Object.entries(found?.metadata ?? {})).toContainEqual([text, text])
    },
  )

  it.each([
    { displayName: 'a\u0000' },
    { displayName: '\ud800' },
    { displayName: 7 },
    { metadata: null },
    { metadata: [] },
    { metadata: { a: '\u0000' } },
    { metadata: { a: 'x'.repeat(70_000) } },
    { displayname: 'typo' },
  ])('refuses %j and changes nothing', async (options) => {
    await tenantry.onboard('f')
    const before = await snapshot(tenantry)
    expect(await errorOf(tenantry.tenants.update('f', options as object))).toMatchObject({ code: 'invalid-option' })
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('refuses metadata that becomes too big only with the existing keys', async () => {
    await tenantry.onboard('g', { metadata: { a: 'x'.repeat(40_000) } })
    const error = await errorOf(tenantry.tenants.update('g', { metadata: { b: 'x'.repeat(40_000) } }))
    expect(error).toMatchObject({ code: 'invalid-option' })
    expect(Object.keys((await tenantry.tenants.get('g'))?.metadata ?? {})).toEqual(['a'])
  })
})

describe('list of 10,000 tenants', () => {
  const count = 10_000
  let tenantry: TestTenantry<unknown>
  let fingerprint: string
  interface Row {
    readonly id: string
    readonly name: string | null
    readonly state: string
    readonly plan: string
    readonly expired: boolean
  }
  let rows: Row[]

  beforeAll(async () => {
    tenantry = await openTestTenantry<unknown>(models)
    fingerprint = await firstFingerprint(tenantry)
    await inCatalog(tenantry, `insert into tenantry.version (fingerprint) values ('older')`)
    await inCatalog(tenantry, `insert into tenantry.server (name) values ('far')`)
    await inCatalog(
      tenantry,
      `insert into tenantry.tenant
         (id, display_name, metadata, state, server_id, database, fingerprint, activated_at, resting_state, purge_after)
       select 't' || to_char(n, 'FM00000'),
              case n % 5 when 0 then null when 1 then '100% Sure_' || n when 2 then 'Back\\slash ' || n else 'Tenant ' || n end,
              jsonb_build_object('plan', case when n % 10 = 0 then 'pro' else 'free' end, 'deep', jsonb_build_object('n', n % 7)),
              case when n % 100 = 0 then 'offboarded' when n % 50 = 7 then 'suspended' else 'active' end,
              case when n % 4 = 0 then 2 else 1 end, 'database_' || n,
              case when n % 3 = 0 then 'older' else $1 end, now(),
              case when n % 100 = 0 then 'active' end,
              case when n % 100 = 0 then now() + make_interval(days => case when n % 200 = 0 then -1 else 1 end) end
       from generate_series(1, $2::int) as n`,
      [fingerprint, count],
    )
    await inCatalog(tenantry, 'analyze tenantry.tenant')
    rows = await inCatalog<Row>(
      tenantry,
      `select id, display_name as name, state, metadata ->> 'plan' as plan, coalesce(purge_after < now(), false) as expired
       from tenantry.tenant order by id`,
    )
  })

  /** All ids that a filter leaves, page by page. */
  async function all(options: ListOptions): Promise<string[]> {
    const ids: string[] = []
    for (;;) {
      const after = ids.at(-1)
      const page = await tenantry.tenants.list({ ...options, limit: 700, ...(after !== undefined && { after }) })
      ids.push(...page.map(({ id }) => id))
      if (page.length < 700) return ids
    }
  }
  const number = ({ id }: Row) => Number(id.slice(1))
  const has = (text: string) => (row: Row) =>
    [row.id, row.name ?? ''].some((value) => value.toLowerCase().includes(text.toLowerCase()))

  const cases: [string, ListOptions | (() => ListOptions), (row: Row) => boolean][] = [
    ['nothing', {}, () => true],
    ['a state', { state: 'suspended' }, ({ state }) => state === 'suspended'],
    ['two states', { state: ['suspended', 'offboarded'] }, ({ state }) => state !== 'active'],
    ['a server', { server: 'far' }, (row) => number(row) % 4 === 0],
    ['an unknown server', { server: 'none' }, () => false],
    ['a version by its number', { version: 2 }, (row) => number(row) % 3 === 0],
    ['a version by its fingerprint', () => ({ version: fingerprint }), (row) => number(row) % 3 !== 0],
    ['metadata', { metadata: { plan: 'pro' } }, ({ plan }) => plan === 'pro'],
    ['nested metadata', { metadata: { deep: { n: 3 } } }, (row) => number(row) % 7 === 3],
    ['expired ones', { expired: true }, ({ expired }) => expired],
    ['a part of the id', { search: 'T0999' }, has('t0999')],
    ['a part of the name', { search: 'nant 99' }, has('nant 99')],
    ['a percent sign', { search: '100%' }, has('100%')],
    ['a percent sign alone', { search: '%' }, has('%')],
    ['an underscore', { search: 'sure_1' }, has('sure_1')],
    ['a backslash', { search: 'back\\s' }, has('back\\s')],
    ['a quote', { search: `'` }, () => false],
    [
      'all of them',
      { state: 'active', server: 'far', version: 1, metadata: { plan: 'pro' }, search: '4' },
      (row) => row.state === 'active' && number(row) % 20 === 0 && number(row) % 3 !== 0 && has('4')(row),
    ],
  ]

  it.each(cases)('by %s gives the right ones, page by page', async (_, options, expected) => {
    const ids = await all(typeof options === 'function' ? options() : options)
    expect(ids).toEqual(rows.filter(expected).map(({ id }) => id))
  })

  it('gives a hundred where no limit is given, and never more than a thousand', async () => {
    expect(await tenantry.tenants.list()).toHaveLength(100)
    expect(await tenantry.tenants.list({ limit: 5_000 })).toHaveLength(1_000)
    expect((await tenantry.tenants.list({ after: 't09998' })).map(({ id }) => id)).toEqual(['t09999', 't10000'])
  })

  it.each([
    [{ state: 'gone' }, 'invalid-option'],
    [{ state: [] }, 'invalid-option'],
    [{ limit: 0 }, 'invalid-option'],
    [{ version: 0 }, 'invalid-option'],
    [{ after: 'No Id' }, 'invalid-tenant-id'],
    [{ states: 'active' }, 'invalid-option'],
  ])('refuses %j', async (options, code) => {
    expect(await errorOf(tenantry.tenants.list(options as object))).toMatchObject({ code })
  })

  it('finds a page of a state by an index', async () => {
    const plan = await inCatalog(
      tenantry,
      `explain select * from tenantry.tenant join tenantry.server on server.id = tenant.server_id
       left join tenantry.version on version.fingerprint = tenant.fingerprint
       where tenant.state in ('suspended') and tenant.id > 't05000' order by tenant.id limit 100`,
    )
    const text = plan.map((line) => line['QUERY PLAN']).join('\n')
    expect(text).toMatch(/Index.* tenant_state/)
    expect(text).not.toMatch(/Seq Scan on tenant\b/)
  })

  it('is summed up by status', async () => {
    const offboarded = rows.filter(({ state }) => state === 'offboarded').length
    const suspended = rows.filter(({ state }) => state === 'suspended').length
    expect(await tenantry.status()).toMatchObject({
      installation: tenantry.installation,
      tenants: { onboarding: 0, active: count - offboarded - suspended, suspended, offboarded, purging: 0 },
      servers: [
        { name: 'far', state: 'open', tenants: 2_500 },
        { name: 'main', state: 'open', tenants: 7_500 },
      ],
      versions: [
        { number: 1, fingerprint, tenants: 6_667, current: true },
        { number: 2, fingerprint: 'older', tenants: 3_333, current: false },
      ],
    })
  })
})
