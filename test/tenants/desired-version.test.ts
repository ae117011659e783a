import { defineEntity, p } from '@mikro-orm/core'
import { mikroOrm } from 'tenantry/mikro-orm'
import { expect, it } from 'vitest'
import { errorOf, sql } from '../support/server.ts'
import { inCatalog, openTestTenantry } from '../support/tenants.ts'

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary() } })
const Tag = defineEntity({ name: 'Tag', properties: { id: p.integer().primary() } })
const Mark = defineEntity({ name: 'Mark', properties: { id: p.integer().primary() } })

const [first, second, third] = [[Note], [Note, Tag], [Note, Tag, Mark]].map((entities) => mikroOrm({ entities })) as [
  ReturnType<typeof mikroOrm>,
  ReturnType<typeof mikroOrm>,
  ReturnType<typeof mikroOrm>,
]

/** Processes of two versions in one installation, each with a tenant. */
async function twoVersions() {
  const older = await openTestTenantry(first, { whenBehind: 'refuse' })
  await older.onboard('one')
  const { installation } = older
  const newer = await openTestTenantry(second, { installation, whenBehind: 'refuse' })
  await newer.onboard('two')
  return { older, newer, installation }
}

const versionsIn = async (tenantry: Pick<Awaited<ReturnType<typeof openTestTenantry>>, 'status'>) =>
  (await tenantry.status()).versions.map(({ number, behind }) => (behind ? `${number} behind` : String(number)))

it('is the version that was declared last, until one is set', async () => {
  const { older, newer, installation } = await twoVersions()
  expect(older.startUp).toMatchObject({ tenants: 0, behind: 0 })
  expect(newer.startUp).toMatchObject({ tenants: 1, current: 0, behind: 1 })
  expect((await older.status()).desired?.number).toBe(2)
  expect(await versionsIn(older)).toEqual(['1 behind', '2'])
  // An older process that opens again declares nothing new.
  const again = await openTestTenantry(first, { installation })
  expect(again.startUp).toMatchObject({ tenants: 2, current: 1, behind: 1 })
  expect((await again.status()).desired?.number).toBe(2)
})

it('is kept when a newer version is declared, whose tenants are not behind', async () => {
  const { older, installation } = await twoVersions()
  const { fingerprint } = (await older.status()).versions[1]!
  expect(await older.rollouts.setDesired(fingerprint)).toEqual({ outcome: 'set', version: { number: 2, fingerprint } })
  expect(await older.rollouts.setDesired(2)).toMatchObject({ outcome: 'already-set' })
  const newest = await openTestTenantry(third, { installation })
  await newest.onboard('three')
  expect(newest.startUp).toMatchObject({ tenants: 2, current: 0, behind: 1 })
  expect((await newest.status()).desired?.number).toBe(2)
  expect(await versionsIn(newest)).toEqual(['1 behind', '2', '3'])
  const router = await openTestTenantry(third, { installation, mode: 'router' })
  expect(router.startUp).toMatchObject({ tenants: 3, current: 1, behind: 1 })
})

it('set back to an older version makes the newer ones older than it', async () => {
  const { older, newer, installation } = await twoVersions()
  expect(await errorOf(newer.with('one', () => 1))).toMatchObject({ code: 'tenant-behind' })
  expect(await older.rollouts.setDesired(1)).toMatchObject({ outcome: 'set', version: { number: 1 } })
  expect(await versionsIn(older)).toEqual(['2 behind', '1'])
  // For processes as well: the one of the first version refuses tenants of the second now, and not the other way about.
  expect(await newer.with('one', () => 1)).toBe(1)
  const reopened = await openTestTenantry(first, { installation, whenBehind: 'refuse' })
  expect(reopened.startUp).toMatchObject({ tenants: 2, current: 1, behind: 1 })
  expect(await errorOf(reopened.with('two', () => 1))).toMatchObject({ code: 'tenant-behind', tenant: 'two' })
})

it('is refused if there is no such version, and in a router', async () => {
  const { older, installation } = await twoVersions()
  for (const version of [3, 'none']) {
    expect(await errorOf(older.rollouts.setDesired(version))).toMatchObject({ code: 'version-unknown' })
  }
  for (const version of [0, 1.5, 2 ** 31, undefined as never]) {
    expect(await errorOf(older.rollouts.setDesired(version))).toMatchObject({ code: 'invalid-option' })
  }
  const router = await openTestTenantry(first, { installation, mode: 'router' })
  expect(await errorOf(router.rollouts.setDesired(1))).toMatchObject({ code: 'router-only' })
})

it('of several calls at once is that of the last one', async () => {
  const { older, newer } = await twoVersions()
  await Promise.all([1, 2, 1, 2].map((version) => (version === 1 ? older : newer).rollouts.setDesired(version)))
  const [row] = await inCatalog<{ last: number; desired: number }>(
    older,
    `select (select number from tenantry.version order by rank desc limit 1) as last,
            (select number from tenantry.version v join tenantry.installation i on i.desired = v.fingerprint) as desired`,
  )
  expect(row?.desired).toBe(row?.last)
})

it('is not what a tenant is compared with, if its own version is asked for', async () => {
  const { older, newer, installation } = await twoVersions()
  const compare = async (id: string, exact = true) => {
    const { outcome, missing, differing, extra } = await newer.tenants.check(id, { against: 'version', exact })
    return [outcome, ...[...missing, ...differing, ...extra.map(({ object }) => object)].map(({ name }) => name)]
  }
  expect((await newer.tenants.check('one')).outcome).toBe('differs')
  expect(await compare('one')).toEqual(['matches'])
  expect(await compare('two')).toEqual(['matches'])
  const { database } = await older.tenants.credentials('one')
  const change = 'alter table note add column more int; create table by_hand (id int)'
  await sql(`set role "${installation}_objects"; ${change}`, [], database)
  expect(await compare('one')).toEqual(['differs', 'by_hand', 'note.more'])
  expect(await compare('one', false)).toEqual(['matches', 'note.more'])
  await sql('drop table note', [], database)
  expect(await compare('one', false)).toEqual(['differs', 'note'])
  await inCatalog(older, 'delete from tenantry.structure where major_version > 0')
  expect(await compare('one')).toEqual(['unverified'])
})
