import { checkDatabase, ensureTables } from 'tenantry'
import { mikroOrm } from 'tenantry/mikro-orm'
import { describe, expect, it } from 'vitest'
import { entities as shop } from '../../examples/shop/models.ts'
import { quote } from '../support/server.ts'
import { as, existingDatabase, newRole, queryIn, readOnly } from './support.ts'

const models = mikroOrm({ entities: shop })

describe('all that is in place is seen as its owner sees it, by a role', () => {
  it.each([
    ['that may do nothing but connect', []],
    ['that may use the schemas', ['grant usage on schema warehouse to ROLE']],
    [
      'that may read and write',
      [
        'grant usage on schema warehouse to ROLE',
        'grant select, insert, update, delete on all tables in schema public, warehouse to ROLE',
        'grant usage on all sequences in schema public, warehouse to ROLE',
      ],
    ],
    ['that may not even use the default schema', ['revoke all on schema public from public']],
  ])('%s', async (_, privileges) => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    const { existing } = await ensureTables(url, models)
    await queryIn(name, ...privileges.map((statement) => statement.replace('ROLE', quote(role.user))))
    const own = readOnly(as(role, url))
    expect(await ensureTables(own, models)).toEqual({ created: [], existing, differing: [] })
    expect(await checkDatabase(own, models)).toMatchObject({ outcome: 'matches' })
  })

  it('and so are differences', async () => {
    const role = await newRole()
    const { name, url } = await existingDatabase()
    await ensureTables(url, models)
    await queryIn(
      name,
      'alter table warehouse.stock alter column pieces drop default',
      'alter table product drop constraint product_price_positive',
      'drop index order_customer_id_placed_at_index',
    )
    const { outcome, missing, differing } = (await checkDatabase(url, models)) as Differs
    expect({ outcome, missing: missing.length, differing: differing.length }).toEqual({
      outcome: 'differs',
      missing: 2,
      differing: 1,
    })
    expect(await checkDatabase(as(role, url), models)).toMatchObject({ outcome, missing, differing })
  })
})

it('names of others with quotes and dots in them do no harm', async () => {
  const { name, url } = await existingDatabase()
  await ensureTables(url, models)
  await queryIn(
    name,
    ...['we"ird', 'do.t'].flatMap((schema) => [
      `create schema ${quote(schema)}`,
      `create table ${quote(schema)}.inventory (id int primary key, "co""l" text check ("co""l" <> ''))`,
    ]),
  )
  expect(await checkDatabase(url, models)).toMatchObject({ outcome: 'matches' })
})

type Differs = Extract<Awaited<ReturnType<typeof checkDatabase>>, { outcome: 'matches' | 'differs' | 'unverified' }>
