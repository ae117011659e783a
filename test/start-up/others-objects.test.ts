import { checkDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities as shop } from '../../examples/shop/models.ts'
import { snapshot } from './snapshot.ts'
import { existingDatabase, queryIn } from './support.ts'

const others = [
  'create table invoice (id serial primary key, note text)',
  'create index invoice_note on invoice (note)',
  `create type invoice_state as enum ('open', 'paid')`,
  'create domain money_amount as numeric(10, 2) check (value >= 0)',
  'create view open_invoices as select * from invoice',
  'create materialized view paid_invoices as select * from invoice',
  `create function pay(int) returns void language sql as 'delete from invoice where id = $1'`,
  `create function stamp() returns trigger language plpgsql as 'begin return new; end'`,
  'create trigger stamp_invoice before insert on invoice for each row execute function stamp()',
  'create sequence invoice_numbers',
  'create schema reporting',
  'create table reporting.user_account (id int, unlike_ours text)',
  `comment on table invoice is 'not ours'`,
  `insert into invoice (note) values ('kept')`,
]

it.each([
  ['a few tables', [User, Address]],
  ['tables, enums, views and schemas', shop],
])("others' objects are neither touched nor mentioned where %s are made", async (_, entities) => {
  const { name, url } = await existingDatabase()
  await queryIn(name, ...others)
  const before = await snapshot(name)
  const models = mikroOrm({ entities })
  const ensured = await ensureTables(url, models)
  const checked = await checkDatabase(url, models)
  expect(await snapshot(name)).toEqual(expect.arrayContaining(before))
  expect(await queryIn(name, 'select note from invoice')).toEqual([{ note: 'kept' }])
  expect(ensured.differing).toEqual([])
  expect(checked.outcome).toBe('matches')
  expect(JSON.stringify([ensured, checked])).not.toMatch(/invoice|money_amount|pay\b|reporting|stamp/)
})

it("others' foreign keys to our tables, and views of them, are no difference of ours", async () => {
  const { name, url } = await existingDatabase()
  const models = mikroOrm({ entities: [User, Address] })
  await ensureTables(url, models)
  await queryIn(
    name,
    'create table invoice (id serial primary key, payer int references user_account)',
    'create view payers as select u.name from user_account u join invoice i on i.payer = u.id',
  )
  const before = await snapshot(name)
  expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'matches' })
  expect(await ensureTables(url, models)).toMatchObject({ created: [], differing: [] })
  expect(await snapshot(name)).toEqual(before)
})
