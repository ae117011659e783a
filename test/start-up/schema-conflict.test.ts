import { defineEntity, p } from '@mikro-orm/core'
import { ensureTables, type Models } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { entities as shop } from '../../examples/shop/models.ts'
import { snapshot } from './snapshot.ts'
import { existingDatabase, expectCausedFailure, queryIn } from './support.ts'

const service = () => mikroOrm({ entities: [User, Address] })

describe('an object in the way is left as it is, and nothing is created beside it', () => {
  it.each([
    ['a view', 'create view address as select 1 as id'],
    ['a materialized view', 'create materialized view address as select 1 as id'],
    ['a sequence', 'create sequence address'],
    ['a composite type', 'create type address as (id int)'],
    ['an enum', `create type address as enum ('home')`],
    ['a domain', 'create domain address as text'],
    ['an index', 'create table other (id int); create index address on other (id)'],
  ])('%s with the name of a table', async (_, statements) => {
    await expectConflict(service(), statements)
  })

  it.each([
    ['a table with the name of an enum', 'create table order_state (id int)'],
    ['a domain with the name of an enum', 'create domain order_state as text'],
    ['a table with the name of a view', 'create table sales (id int)'],
  ])('%s', async (_, statements) => {
    await expectConflict(mikroOrm({ entities: shop }), statements)
  })

  it('rows that a unique index does not allow', async () => {
    const models = mikroOrm({ entities: [UniqueUser, Other] })
    const error = await expectConflict(
      models,
      'create table user_account (id serial primary key, name varchar(255) not null)',
      `insert into user_account (name) values ('twice'), ('twice')`,
    )
    expect(error.sqlState).toBe('23505')
  })

  it('rows that a foreign key does not allow', async () => {
    const error = await expectConflict(
      mikroOrm({ entities: [User, Address] }),
      'create table user_account (id serial primary key, name varchar(255) not null, fullname varchar(255))',
      'create table address (id serial primary key, email_address varchar(255) not null, user_id int not null)',
      `insert into address (email_address, user_id) values ('nobody@example.com', 7)`,
    )
    expect(error.sqlState).toBe('23503')
  })

  it('a table that cannot be referred to, for want of a key', async () => {
    const error = await expectConflict(
      service(),
      'create table user_account (id int, name varchar(255), fullname text)',
    )
    expect(error.sqlState).toBe('42830')
  })

  it('a column that cannot be referred to, for its type', async () => {
    const error = await expectConflict(
      service(),
      'create table user_account (id uuid primary key, name varchar(255), fullname text)',
    )
    expect(error.sqlState).toBe('42804')
  })
})

const UniqueUser = defineEntity({
  name: 'User',
  tableName: 'user_account',
  properties: { id: p.integer().primary().autoincrement(), name: p.string().unique() },
})
const Other = defineEntity({ name: 'Other', properties: { id: p.integer().primary().autoincrement() } })

async function expectConflict(models: Models<unknown>, ...statements: string[]) {
  const { name, url } = await existingDatabase()
  await queryIn(name, ...statements)
  const before = await snapshot(name)
  const error = await expectCausedFailure(ensureTables(url, models), 'schema-conflict')
  expect(error.message).toContain(name)
  expect(await snapshot(name)).toEqual(before)
  return error
}
