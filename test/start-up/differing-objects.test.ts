import { defineEntity, p } from '@mikro-orm/core'
import { checkDatabase, type CheckedDatabase, ensureTables, type Models } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities as shop } from '../../examples/shop/models.ts'
import { snapshot } from './snapshot.ts'
import { existingDatabase, queryIn, readOnly } from './support.ts'

const service = () => mikroOrm({ entities: [User, Address] })

describe('existing objects that differ are reported and left as they are, with statements that fix them', () => {
  it.each([
    ['a missing column', 'alter table user_account drop column fullname'],
    ['a column of another type', 'alter table user_account alter column fullname type text'],
    ['a column that may be null', 'alter table address alter column email_address drop not null'],
    ['a column that may not be null', 'alter table user_account alter column fullname set not null'],
    ['a column with a default of its own', `alter table user_account alter column name set default 'nobody'`],
  ])('%s', async (_, statement) => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, service())
    await queryIn(name, statement)
    await expectReported(name, url, service())
  })

  it('a column that the models have since', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, service())
    const models = mikroOrm({ entities: [OlderUser] })
    const [differing] = await expectReported(name, url, models)
    expect(differing).toMatchObject({ kind: 'table', name: 'user_account' })
    expect(differing!.statements.join()).toMatch(/add (?:column )?"age"/)
  })

  it('an index on a column that is missing, together with the column', async () => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, service())
    await expectReported(name, url, mikroOrm({ entities: [IndexedOlderUser] }))
  })

  it('a view of another definition', async () => {
    const { name, url } = await existingDatabase()
    const models = mikroOrm({ entities: shop })
    await ensureTables(url, models)
    await queryIn(name, 'create or replace view sales as select product_id, 1 as pieces from order_line')
    const differing = await expectReported(name, url, models)
    expect(differing.map((object) => object.kind)).toEqual(['view'])
  })

  it('but a check that is missing, which is made again', async () => {
    const { name, url } = await existingDatabase()
    const models = mikroOrm({ entities: shop })
    await ensureTables(url, models)
    await queryIn(name, 'alter table product drop constraint product_price_positive')
    const check = { kind: 'check', name: 'product.product_price_positive' }
    expect(await ensureTables(url, models)).toMatchObject({ created: [check], differing: [] })
    expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'matches' })
  })

  it('an enum with a value less', async () => {
    const { name, url } = await existingDatabase()
    await queryIn(name, `create type order_state as enum ('placed', 'paid')`)
    const { created, differing } = await ensureTables(url, mikroOrm({ entities: shop }))
    expect(created).toContainEqual({ kind: 'table', name: 'order' })
    expect(differing.map((object) => object.name)).toContain('order_state')
    expect(await queryIn(name, 'select enum_range(null::order_state)::text as range')).toEqual([
      { range: '{placed,paid}' },
    ])
  })

  it('missing objects are made all the same', async () => {
    const { name, url } = await existingDatabase()
    await queryIn(name, 'create table user_account (id serial primary key)')
    const { created, differing } = await ensureTables(url, service())
    expect(created).toEqual([{ kind: 'table', name: 'address' }])
    expect(differing.map((object) => object.name)).toEqual(['user_account'])
  })
})

describe('what the models do not declare is told, and is no difference unless asked for', () => {
  it.each([
    ['a column more', 'alter table user_account add column age int', 'user_account.age'],
    ['an index more', 'create index own_index on user_account (name)', 'user_account.own_index'],
    ['a check more', `alter table user_account add constraint named check (name <> '')`, 'user_account.named'],
    [
      'a foreign key more',
      'alter table address add constraint own_key foreign key (id) references user_account (id)',
      'address.own_key',
    ],
  ])('%s', async (_, statement, extra) => {
    const { name, url } = await existingDatabase()
    await ensureTables(url, service())
    await queryIn(name, statement, 'create table others (id int)')
    expect(await ensureTables(readOnly(url), service())).toMatchObject({ created: [], differing: [] })
    const found = await checkDatabase(url, service())
    expect(found).toMatchObject({ outcome: 'matches', extra: [{ change: 'extra', object: { name: extra } }] })
    const exact = await checkDatabase(url, service(), { exact: true })
    expect(exact).toMatchObject({ outcome: 'differs', missing: [], differing: [] })
    expect(
      extrasOf(exact)
        .map(({ object }) => object.name)
        .toSorted(),
    ).toEqual([extra, 'others'].toSorted())
    await queryIn(name, ...extrasOf(exact).flatMap(({ statements }) => statements))
    expect(await checkDatabase(url, service(), { exact: true })).toMatchObject({ outcome: 'matches' })
  })
})

function extrasOf(found: CheckedDatabase) {
  return found.outcome === 'database-missing' ? [] : found.extra
}

const OlderUser = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    fullname: p.string().nullable(),
    age: p.integer().nullable(),
  },
})

const IndexedOlderUser = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.string(),
    fullname: p.string().nullable(),
    age: p.integer().nullable().index(),
  },
})

/** Expects that it differs, that nothing was touched, and that the statements given make it match. */
async function expectReported(name: string, url: string, models: Models<unknown>) {
  const before = await snapshot(name)
  const { created, differing } = await ensureTables(readOnly(url), models)
  expect(created).toEqual([])
  expect(differing).not.toEqual([])
  expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'differs', missing: [], differing })
  expect(await snapshot(name)).toEqual(before)
  await queryIn(name, ...differing.flatMap(({ statements }) => statements))
  expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'matches' })
  return differing
}
