import type { ConnectionPool } from 'tenantry'
import { beforeAll, expect, it } from 'vitest'
import { plainModels } from '../../bench/peers/handles.ts'
import { errorOf, sql } from '../support/server.ts'
import { namesOf, openTestTenantry, type TestTenantry } from '../support/tenants.ts'

// A prepared statement fails with 0A000 once its result has other columns.

let tenantry: TestTenantry<ConnectionPool>
let database: string

beforeAll(async () => {
  tenantry = await openTestTenantry(plainModels(), { postgres: { maxConnections: 1 } })
  await tenantry.onboard('a')
  database = (await namesOf(tenantry, 'a')).inService
})

const all = { name: 'the "notes"', text: 'select * from notes' }

/** A table that the tenant may read. */
async function createTable(): Promise<void> {
  await sql('drop table if exists notes; create table notes (id int); insert into notes values (1)', [], database)
  await sql('grant select on notes to public', [], database)
}

const addColumn = (name: string) => sql(`alter table notes add column ${name} int`, [], database)

it('is prepared again outside of a transaction, unnoticed', async () => {
  await createTable()
  const rows = () => tenantry.with('a', async (pool) => ((await pool.query(all)) as { rows: unknown }).rows)
  expect(await rows()).toEqual([{ id: 1 }])
  for (const [added, columns] of [
    ['b', { id: 1, b: null }],
    ['c', { id: 1, b: null, c: null }],
  ] as const) {
    await addColumn(added)
    expect(await rows()).toEqual([columns])
  }
})

it('fails its transaction, and is prepared again in the next one on that connection', async () => {
  await createTable()
  await tenantry.with('a', async (pool) => {
    const connection = await pool.connect()
    await connection.query(all)
    await addColumn('d')
    await connection.query('begin')
    expect(await errorOf(connection.query(all) as Promise<unknown>)).toMatchObject({ code: '0A000' })
    await connection.query('rollback')
    await connection.query('begin')
    expect(await connection.query(all)).toMatchObject({ rows: [{ id: 1, d: null }] })
    await connection.query('commit')
    connection.release()
  })
})

it('fails with any other error as it is, once', async () => {
  await createTable()
  const query = { name: 'division', text: 'select 1 / $1::int as quotient' }
  const divide = (by: number) => tenantry.with('a', (pool) => pool.query(query, [by]))
  expect(await errorOf(divide(0))).toMatchObject({ code: '22012' })
  expect(await divide(1)).toMatchObject({ rows: [{ quotient: 1 }] })
})
