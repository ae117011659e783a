import { mikroOrm } from 'tenantry/mikro-orm'
import type { Finding } from 'tenantry'
import { Client } from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { errorOf, quote, serverUrl, sql } from '../support/server.ts'
import { databasesOf, inCatalog, namesOf, openTestTenantry, snapshot, tenantLockKey } from '../support/tenants.ts'

const models = mikroOrm({ entities: [User, Address] })
const open = () => openTestTenantry(models)

type Opened = Awaited<ReturnType<typeof open>>

const inShort = (findings: readonly Finding[]) => findings.map(({ kind, action, tenant }) => [kind, action, tenant])

/** Reports the plan first, and changes nothing; then carries it out; then finds nothing left to do. */
async function reconciled(tenantry: Opened): Promise<readonly Finding[]> {
  const before = await snapshot(tenantry)
  const planned = await tenantry.servers.reconcile({ dryRun: true })
  expect(await snapshot(tenantry)).toEqual(before)
  const { findings } = await tenantry.servers.reconcile({ actor: 'operator' })
  expect(inShort(findings)).toEqual(inShort(planned.findings))
  expect(findings.map(({ outcome }) => outcome)).toEqual(
    findings.map(({ action }) => (action === 'none' ? 'left' : 'done')),
  )
  const after = await snapshot(tenantry)
  const again = await tenantry.servers.reconcile()
  expect(again.findings.every(({ outcome }) => outcome === 'left')).toBe(true)
  expect(await snapshot(tenantry)).toEqual(after)
  return findings
}

const rename = (from: string, to: string) => sql(`alter database ${quote(from)} rename to ${quote(to)}`)

/** Takes an advisory lock as a process at work would. */
async function lockTenant(tenantry: Pick<Opened, 'installation'>, id: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl({ database: `${tenantry.installation}_catalog` }) })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(`select pg_advisory_lock(${await tenantLockKey(tenantry, id)})`)
}

describe('reconcile', () => {
  it('finds nothing where all is as it should be', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    await tenantry.onboard('b')
    await tenantry.tenants.suspend('b')
    await tenantry.onboard('c')
    await tenantry.tenants.offboard('c')
    expect(await tenantry.servers.reconcile()).toEqual({ findings: [], isCatalogOlder: false, unreachable: [] })
  })

  it('takes back a making that was interrupted, with its building database', async () => {
    const failing = await openTestTenantry(models, {
      hooks: {
        initialise: () => {
          throw new Error('no')
        },
      },
    })
    await errorOf(failing.onboard('a'))
    const tenantry = await openTestTenantry(models, { installation: failing.installation })
    expect(inShort(await reconciled(tenantry))).toEqual([['unfinished', 'undo', 'a']])
    expect(await tenantry.tenants.get('a')).toBeUndefined()
    expect(await databasesOf(tenantry)).toEqual([])
    expect((await tenantry.tenants.history('a'))[0]).toMatchObject({ verb: 'purge', to: undefined, actor: 'operator' })
  })

  it('makes a tenant active if its database was complete already', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    await inCatalog(
      tenantry,
      `update tenantry.tenant set state = 'onboarding', activated_at = null, fingerprint = null`,
    )
    expect(inShort(await reconciled(tenantry))).toEqual([['unfinished', 'finish', 'a']])
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
  })

  it('finishes an offboarding and a purge, wherever they were interrupted', async () => {
    const tenantry = await open()
    for (const id of ['a', 'b', 'c', 'd']) {
      await tenantry.onboard(id)
      await tenantry.tenants.offboard(id)
    }
    const [a, b, c] = [await namesOf(tenantry, 'a'), await namesOf(tenantry, 'b'), await namesOf(tenantry, 'c')]
    await rename(a.archived, a.inService)
    await inCatalog(tenantry, `update tenantry.tenant set state = 'purging' where id in ('b', 'c', 'd')`)
    await rename(b.archived, b.pendingDrop)
    await sql(`drop database ${quote(c.archived)}`)
    expect(inShort(await reconciled(tenantry))).toEqual(['a', 'b', 'c', 'd'].map((id) => ['unfinished', 'finish', id]))
    expect((await tenantry.tenants.list()).map(({ id, state }) => [id, state])).toEqual([['a', 'offboarded']])
    expect(await databasesOf(tenantry)).toEqual([a.archived])
    expect(await tenantry.tenants.restore('a')).toMatchObject({ outcome: 'restored' })
  })

  it('leaves work under way alone', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', activated_at = null`)
    await lockTenant(tenantry, 'a')
    const before = await snapshot(tenantry)
    const { findings } = await tenantry.servers.reconcile()
    expect(findings).toMatchObject([{ kind: 'unfinished', outcome: 'busy', tenant: 'a' }])
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('reports problems that a person has to decide on, and touches none of them', async () => {
    const tenantry = await open()
    for (const id of ['gone', 'moved', 'commented', 'invalid', 'fine']) await tenantry.onboard(id)
    const name = (id: string) => `${tenantry.installation}_t_${id}`
    await sql(`drop database ${quote(name('gone'))}`)
    await rename(name('moved'), `${tenantry.installation}_elsewhere`)
    await sql(`comment on database ${quote(name('commented'))} is 'Ask Ann before touching this.'`)
    await sql(`create database ${quote(name('stranger'))}`)
    await sql(`update pg_database set datconnlimit = -2 where datname = $1`, [name('invalid')])
    const findings = await reconciled(tenantry)
    expect(inShort(findings)).toEqual([
      ['foreign', 'none', 'commented'],
      ['ghost', 'none', 'gone'],
      ['invalid', 'none', 'invalid'],
      ['ghost', 'none', 'moved'],
      ['foreign', 'none', undefined],
    ])
    expect(findings.at(-1)).toMatchObject({ database: name('stranger'), server: 'main' })
  })

  it('drops templates and spares that were left unfinished, and keeps the others', async () => {
    const tenantry = await open()
    await tenantry.onboard('a')
    const [row] = await inCatalog<{ server_id: number; fingerprint: string }>(
      tenantry,
      'select server_id, fingerprint from tenantry.template',
    )
    const rowId = '0b9c6c6e-5b8e-4b7e-9a70-5d8f6a6f0c11'
    const spare = `${tenantry.installation}_spare_${rowId.replaceAll('-', '')}`
    await inCatalog(
      tenantry,
      'insert into tenantry.spare (row_id, server_id, fingerprint, database) values ($1, $2, $3, $4)',
      [rowId, row?.server_id, row?.fingerprint, spare],
    )
    await sql(`create database ${quote(spare)}`)
    expect(inShort(await reconciled(tenantry))).toEqual([['leftover', 'drop', undefined]])
    expect(await sql('select 1 from pg_database where datname = $1', [spare])).toEqual([])
    expect(await tenantry.onboard('b')).toMatchObject({ path: 'clone' })
  })

  it('destroys nothing where the catalog is older than the stamps', async () => {
    const tenantry = await open()
    await tenantry.onboard('kept')
    await tenantry.onboard('b')
    const begun = await namesOf(tenantry, 'b')
    // The content of a backup of the catalog that was made while "b" was made, and before "kept" was.
    await rename(begun.inService, begun.building)
    await inCatalog(tenantry, `update tenantry.tenant set state = 'onboarding', activated_at = null where id = 'b'`)
    await inCatalog(tenantry, `delete from tenantry.tenant where id = 'kept'`)
    const before = await snapshot(tenantry)
    const { findings, isCatalogOlder } = await tenantry.servers.reconcile()
    expect(isCatalogOlder).toBe(true)
    expect(findings).toMatchObject([
      { kind: 'unfinished', action: 'none', outcome: 'left', tenant: 'b' },
      { kind: 'role', action: 'none', outcome: 'left', what: expect.stringContaining('belongs to no tenant') },
      { kind: 'orphan', action: 'none', outcome: 'left', database: `${tenantry.installation}_t_kept` },
    ])
    expect(await snapshot(tenantry)).toEqual(before)
  })

  it('goes on while tenants are made', async () => {
    const tenantry = await open()
    const ids = Array.from({ length: 12 }, (_, place) => `t${place}`)
    const making = Promise.all(ids.map((id) => tenantry.onboard(id)))
    const other = await openTestTenantry(models, { installation: tenantry.installation })
    for (let round = 0; round < 5; round++) {
      const { isCatalogOlder, findings } = await other.servers.reconcile()
      expect(isCatalogOlder).toBe(false)
      expect(findings.filter(({ outcome }) => outcome === 'failed')).toEqual([])
    }
    expect((await making).every(({ outcome }) => outcome === 'onboarded')).toBe(true)
    for (const id of ids) expect(await tenantry.tenants.get(id)).toMatchObject({ state: 'active' })
    expect((await tenantry.servers.reconcile()).findings).toEqual([])
  })

  it('enables or disables the login of roles, by the state of their tenants', async () => {
    const tenantry = await open()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await tenantry.onboard(id)
    const logins = new Map<string, string>()
    for (const id of ['a', 'b', 'c', 'd']) logins.set(id, quote((await tenantry.tenants.credentials(id)).user))
    await tenantry.tenants.suspend('b')
    await tenantry.tenants.offboard('c')
    await sql(`alter role ${logins.get('a')} nologin`)
    for (const id of ['b', 'c']) await sql(`alter role ${logins.get(id)} login`)
    await sql(`drop owned by ${logins.get('d')}`, [], `${tenantry.installation}_t_d`)
    await sql(`drop role ${logins.get('d')}`)
    expect(inShort(await reconciled(tenantry))).toEqual([
      ['role', 'finish', 'a'],
      ['role', 'finish', 'b'],
      ['role', 'finish', 'c'],
      ['role', 'none', 'd'],
    ])
    expect(await tenantry.with('a', (em) => em.count(User))).toBe(0)
    const rows = await sql<{ rolname: string }>(
      'select rolname from pg_roles where rolcanlogin and starts_with(rolname, $1)',
      [`${tenantry.installation}_r_`],
    )
    expect(rows).toHaveLength(2)
    await tenantry.tenants.rotateCredentials('d')
    expect(await tenantry.servers.reconcile()).toMatchObject({ findings: [] })
  })
})
