import { openTenantry } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { postgres } from 'tenantry/postgres'
import { beforeAll, describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { disposableName, errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { commentOn, firstFingerprint, openTestTenantry } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })

interface Stamp {
  readonly tenantry: number
  readonly installation: string
  readonly kind: string
  readonly row: string
  readonly fingerprint: string
}

async function stampOf(database: string): Promise<Stamp | undefined> {
  const comment = await commentOn(database)
  return comment === undefined ? undefined : (JSON.parse(comment) as Stamp)
}

const databasesLike = async (prefix: string) => {
  const rows = await sql<{ name: string }>(
    'select datname as name from pg_database where starts_with(datname, $1) order by 1',
    [prefix],
  )
  return rows.map(({ name }) => name)
}

describe('onboarding', () => {
  let tenantry: Awaited<ReturnType<typeof openTestTenantry<unknown>>>
  beforeAll(async () => {
    tenantry = await openTestTenantry<unknown>(models)
  })

  it('makes a tenant with a database of its own, verified and stamped', async () => {
    const { outcome, tenant } = await tenantry.onboard('acme-1', {
      displayName: 'Acme "GmbH" – ünïcode 🦑',
      metadata: { plan: 'gold', seats: 3, nested: { quote: `'; drop table x; --` } },
    })
    expect(outcome).toBe('onboarded')
    expect(tenant).toMatchObject({
      id: 'acme-1',
      displayName: 'Acme "GmbH" – ünïcode 🦑',
      metadata: { plan: 'gold', seats: 3, nested: { quote: `'; drop table x; --` } },
      state: 'active',
      server: 'main',
      database: `${tenantry.installation}_t_acme_1`,
      fingerprint: await firstFingerprint(tenantry),
    })
    expect(tenant.activatedAt).toBeInstanceOf(Date)
    expect(tenant).not.toHaveProperty('rowId')
    expect(await stampOf(tenant.database)).toMatchObject({
      tenantry: 1,
      kind: 'tenant',
      fingerprint: tenant.fingerprint,
    })
    expect(JSON.stringify(await stampOf(tenant.database))).not.toMatch(/acme/i)
  })

  it('of an id that exists is an outcome, and changes nothing', async () => {
    const again = await tenantry.onboard('acme-1', { displayName: 'Somebody else', metadata: {} })
    expect(again).toMatchObject({ outcome: 'already-exists', tenant: { displayName: 'Acme "GmbH" – ünïcode 🦑' } })
  })

  it('leaves no building behind', async () => {
    expect(await databasesLike(`${tenantry.installation}_building`)).toEqual([])
  })

  it.each(['', 'A', 'a_b', '-a', 'a-', 'a'.repeat(41), 'ä', 'a b', "a'b", 'a\u0000', '../x', 'a.b'])(
    'refuses the id %j',
    async (id) => {
      expect(await errorOf(tenantry.onboard(id))).toMatchObject({ code: 'invalid-tenant-id' })
    },
  )

  it.each(['a', '0', 'a'.repeat(40), 'select', 'postgres', 'catalog'])('takes the id %j', async (id) => {
    expect(await tenantry.onboard(id)).toMatchObject({ outcome: 'onboarded', tenant: { id } })
  })

  it.each([
    [{ displayName: 'a\u0000b' }, 'invalid-option'],
    [{ displayName: '\ud800' }, 'invalid-option'],
    [{ displayName: 7 }, 'invalid-option'],
    [{ metadata: [] }, 'invalid-option'],
    [{ metadata: new Date(0) }, 'invalid-option'],
    [{ metadata: { '\u0000': 1 } }, 'invalid-option'],
    [{ metadata: { a: '\u0000' } }, 'invalid-option'],
    [{ metadata: { a: 'x'.repeat(70_000) } }, 'invalid-option'],
    [{ displayname: 'typo' }, 'invalid-option'],
    [{ server: 'nowhere' }, 'server-unknown'],
  ])('refuses %j and leaves nothing', async (options, code) => {
    expect(await errorOf(tenantry.onboard('refused', options as object))).toMatchObject({ code })
    expect(await tenantry.tenants.get('refused')).toBeUndefined()
  })

  it('refuses metadata that JSON cannot hold, and accepts unusual values', async () => {
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    for (const metadata of [circular, { big: 1n }]) {
      expect(await errorOf(tenantry.onboard('refused', { metadata }))).toMatchObject({ code: 'invalid-option' })
    }
    const metadata = { path: 'C:\\u0000dir' }
    expect(await tenantry.onboard('odd', { metadata })).toMatchObject({ tenant: { metadata } })
  })

  it('refuses a database of that name which is not ours, leaves it alone and forgets the tenant', async () => {
    const database = `${tenantry.installation}_t_taken`
    await sql(`create database ${quote(database)}`)
    await sql(`comment on database ${quote(database)} is 'somebody''s'`)
    expect(await errorOf(tenantry.onboard('taken'))).toMatchObject({
      code: 'foreign-database',
      tenant: 'taken',
      retryable: false,
    })
    expect(await tenantry.tenants.get('taken')).toBeUndefined()
    expect(await databasesLike(database)).toEqual([database])
    await sql(`drop database ${quote(database)}`)
    expect(await tenantry.onboard('taken')).toMatchObject({ outcome: 'onboarded' })
  })

  it('refuses a database with a comment that only looks like ours', async () => {
    const database = `${tenantry.installation}_t_forged`
    const acme = await stampOf(`${tenantry.installation}_t_acme_1`)
    await sql(`create database ${quote(database)}`)
    await sql(`comment on database ${quote(database)} is '${JSON.stringify(acme)}'`)
    expect(await errorOf(tenantry.onboard('forged'))).toMatchObject({ code: 'foreign-database' })
  })

  it('cancelled by its signal makes nothing that counts, and can be repeated', async () => {
    const reason = new Error('enough')
    const cancelled = AbortSignal.abort(reason)
    expect(await errorOf(tenantry.onboard('late', { signal: cancelled }))).toMatchObject({
      code: 'aborted',
      cause: reason,
    })
    const controller = new AbortController()
    const pending = tenantry.onboard('late', { signal: controller.signal })
    controller.abort(reason)
    expect(await errorOf(pending)).toMatchObject({ code: 'aborted' })
    expect((await tenantry.tenants.get('late'))?.state).not.toBe('active')
    expect(await tenantry.onboard('late')).toMatchObject({ outcome: 'onboarded' })
  })

  it('by many at once of one id makes one tenant', async () => {
    const results = await Promise.all(Array.from({ length: 12 }, () => tenantry.onboard('wanted')))
    expect(results.filter(({ outcome }) => outcome === 'onboarded')).toHaveLength(1)
    expect(new Set(results.map(({ tenant }) => tenant.database)).size).toBe(1)
  })

  it('of many ids at once makes them all', async () => {
    const ids = Array.from({ length: 12 }, (_, i) => `many-${i}`)
    const results = await Promise.all(ids.map((id) => tenantry.onboard(id)))
    expect(results.every(({ outcome }) => outcome === 'onboarded')).toBe(true)
  })

  it('lists in the order of ids, page by page', async () => {
    const all = await tenantry.tenants.list()
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).toSorted())
    const first = await tenantry.tenants.list({ limit: 3 })
    const second = await tenantry.tenants.list({ limit: 3, after: first[2]?.id as string })
    expect([...first, ...second]).toEqual(all.slice(0, 6))
    expect(await errorOf(tenantry.tenants.list({ limit: 0 }))).toMatchObject({ code: 'invalid-option' })
  })
})

describe('remains of an interrupted call', () => {
  const open = async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const catalog = (statement: string, params: unknown[] = []) =>
      sql<Record<string, string>>(statement, params, `${tenantry.installation}_catalog`)
    /** The row that a call writes first. */
    const intend = async (id: string) => {
      const [row] = await catalog(
        `insert into tenantry.tenant (id, server_id, database)
         select $1, id, $2 from tenantry.server where name = 'main' returning row_id`,
        [id, `${tenantry.installation}_t_${id}`],
      )
      return row?.['row_id'] as string
    }
    return {
      tenantry,
      catalog,
      intend,
      building: (row: string) => `${tenantry.installation}_building_${row.replaceAll('-', '')}`,
    }
  }

  it('after the row is not handed out, and is finished by the next call', async () => {
    const { tenantry, intend } = await open()
    await intend('half')
    expect(await errorOf(tenantry.with('half', () => 1))).toMatchObject({ code: 'tenant-not-active', tenant: 'half' })
    expect(await tenantry.onboard('half')).toMatchObject({ outcome: 'onboarded', tenant: { state: 'active' } })
  })

  it('after CREATE DATABASE, without a stamp, is finished by the next call', async () => {
    const { tenantry, intend, building } = await open()
    const row = await intend('half')
    await sql(`create database ${quote(building(row))}`)
    expect(await tenantry.onboard('half')).toMatchObject({ outcome: 'onboarded' })
    expect(await databasesLike(`${tenantry.installation}_building`)).toEqual([])
  })

  it('are removed when the name turns out to be taken', async () => {
    const { tenantry, intend, building } = await open()
    const row = await intend('half')
    await sql(`create database ${quote(building(row))}`)
    await sql(`create database ${quote(`${tenantry.installation}_t_half`)}`)
    expect(await errorOf(tenantry.onboard('half'))).toMatchObject({ code: 'foreign-database' })
    expect(await databasesLike(`${tenantry.installation}_building`)).toEqual([])
    expect(await tenantry.tenants.get('half')).toBeUndefined()
  })

  it('when its row is taken away meanwhile is not given the name', async () => {
    const { tenantry, catalog } = await open()
    // Fires inside the transaction that names the database, before the row is updated.
    await catalog(`create function tenantry.gone() returns trigger language plpgsql as 'begin return null; end'`)
    await catalog(`create trigger gone before update on tenantry.tenant for each row execute function tenantry.gone()`)
    expect(await errorOf(tenantry.onboard('gone'))).toMatchObject({ code: 'tenant-unknown', retryable: true })
    expect(await databasesLike(`${tenantry.installation}_t_`)).toEqual([])
    await catalog('drop trigger gone on tenantry.tenant')
    expect(await tenantry.onboard('gone')).toMatchObject({ outcome: 'onboarded' })
  })

  it('with tables of other models is made anew', async () => {
    const { tenantry, intend, building } = await open()
    const row = await intend('half')
    await sql(`create database ${quote(building(row))}`)
    await sql('create table user_account (id int)', [], building(row))
    expect(await tenantry.onboard('half')).toMatchObject({ outcome: 'onboarded' })
    const columns = await sql(
      `select 1 from information_schema.columns where table_name = 'user_account'`,
      [],
      `${tenantry.installation}_t_half`,
    )
    expect(columns).toHaveLength(3)
  })
})

describe('installations', () => {
  it('stand side by side on one server', async () => {
    const [one, other] = [await openTestTenantry<unknown>(models), await openTestTenantry<unknown>(models)]
    const results = await Promise.all([one.onboard('acme'), other.onboard('acme')])
    expect(results.map(({ outcome }) => outcome)).toEqual(['onboarded', 'onboarded'])
    expect(results[0]?.tenant.database).not.toBe(results[1]?.tenant.database)
    expect((await stampOf(results[0]?.tenant.database ?? ''))?.installation).not.toBe(
      (await stampOf(results[1]?.tenant.database ?? ''))?.installation,
    )
  })

  it('refuse a database with the name of their catalog that is not one', async () => {
    const installation = disposableName('i')
    await sql(`create database ${quote(`${installation}_catalog`)}`)
    await sql('create table somebodys (id int)', [], `${installation}_catalog`)
    const error = await errorOf(openTenantry({ models, servers: [postgres({ url: serverUrl() })], installation }))
    expect(error).toMatchObject({ code: 'foreign-database' })
  })

  it('refuse a catalog that a newer Tenantry has changed beyond them', async () => {
    const tenantry = await openTestTenantry<unknown>(models)
    const { installation } = tenantry
    const database = `${installation}_catalog`
    await sql('insert into tenantry.migration (number, compatible_from) values (1000, 1)', [], database)
    const server = postgres({ url: serverUrl() })
    await (await openTenantry({ models, servers: [server], installation })).close()
    await sql('insert into tenantry.migration (number, compatible_from) values (1001, 1001)', [], database)
    expect(await errorOf(openTenantry({ models, servers: [server], installation }))).toMatchObject({
      code: 'catalog-newer',
    })
  })

  it('are opened by many at once on an empty server', async () => {
    const server = postgres({ url: serverUrl() })
    // Which of their first steps meet is different each time.
    for (let time = 0; time < 10; time++) {
      const installation = disposableName('i')
      const opened = await Promise.all(
        Array.from({ length: 16 }, () => openTenantry({ models, servers: [server], installation })),
      )
      expect(await opened[0]?.tenants.list()).toEqual([])
      await Promise.all(opened.map((tenantry) => tenantry.close()))
    }
  })
})
