import { defineEntity, p, Routine } from '@mikro-orm/core'
import { checkDatabase, ensureTables, type SchemaObject } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { expect, it } from 'vitest'
import { Address, User } from '../../examples/service/models.ts'
import { existingDatabase, queryIn } from './support.ts'

it('an object has one name: created, existing or differing', async () => {
  const { name, url } = await existingDatabase()
  const { created } = await ensureTables(url, models)
  const objects = created.filter(({ kind }) => kind !== 'schema').map(keyOf)
  expect(objects.toSorted()).toEqual([
    'routine Twice',
    'routine reports.thrice',
    'table address',
    'table user_account',
    'view names',
    'view recent',
    'view reports.names',
  ])
  expect((await ensureTables(url, models)).existing.map(keyOf).toSorted()).toEqual(objects.toSorted())

  await queryIn(
    name,
    'create or replace view names as select id, fullname as name from user_account',
    'create or replace view reports.names as select id, fullname as name from user_account',
    'drop index recent_name_index',
    'create index recent_name_index on recent (id)',
    `create or replace function "Twice" (i int) returns int language sql as 'select i * 20'`,
    `create or replace function reports.thrice (i int) returns int language sql as 'select i * 30'`,
    'alter table user_account alter column fullname set not null',
  )
  const { existing, missing, differing } = (await checkDatabase(url, models)) as Differs
  expect(missing).toEqual([])
  expect(existing.map(keyOf)).toEqual(['table address'])
  expect(differing.map(keyOf).toSorted()).toEqual(objects.filter((key) => key !== 'table address').toSorted())
})

type Differs = Extract<Awaited<ReturnType<typeof checkDatabase>>, { outcome: 'matches' | 'differs' | 'unverified' }>

const keyOf = ({ kind, name }: SchemaObject) => `${kind} ${name}`

const expression = 'select id, name from user_account'
const properties = () => ({ id: p.integer().primary(), name: p.string() })
const int = { type: 'int', runtimeType: 'number' } as const
const returns = { columnType: 'int', runtimeType: 'number' } as const

const models = mikroOrm({
  entities: [
    User,
    Address,
    defineEntity({ name: 'Names', tableName: 'names', view: true, expression, properties: properties() }),
    defineEntity({
      name: 'ReportedNames',
      tableName: 'names',
      schema: 'reports',
      view: true,
      expression,
      properties: properties(),
    }),
    defineEntity({
      name: 'Recent',
      tableName: 'recent',
      view: { materialized: true },
      expression,
      properties: properties(),
      indexes: [{ properties: ['name'], name: 'recent_name_index' }],
    }),
  ],
  routines: [
    new Routine({
      name: 'Twice',
      type: 'function',
      params: { i: int },
      returns,
      language: 'sql',
      body: 'select i * 2',
    }),
    new Routine({
      name: 'thrice',
      schema: 'reports',
      type: 'function',
      params: { i: int },
      returns,
      language: 'sql',
      body: 'select i * 3',
    }),
  ],
})
