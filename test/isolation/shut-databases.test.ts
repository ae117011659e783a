import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { Client } from 'pg'
import { User } from '../../examples/service/models.ts'
import { disposableName, quote, sql, useOwnServer } from '../support/server.ts'
import { createProvisioner, type Isolated, isDead, login, openAs } from './support.ts'

// Any role can keep others from a database: by a statement that PostgreSQL refuses only once it has its lock, while that
// waits for another session of the role.

useOwnServer({ max_prepared_transactions: 10 })
let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})

const open = () => openAs(provisioner, { limits: { drainMs: 500 } })
const waiting = `select 1 from pg_locks where not granted and mode = 'AccessExclusiveLock' and pid = $1`

/** Keeps everybody from a relation of PostgreSQL's in a database. @returns the session that does */
async function shut(tenantry: Isolated, id: string, relation: string, database?: string): Promise<Client> {
  const [reader, waiter] = [await login(tenantry, id, database), await login(tenantry, id, database)]
  const { rows } = await waiter.query<{ pid: number }>('select pg_backend_pid() as pid')
  await reader.query(`begin; select from ${relation} limit 1`)
  waiter.query(`create rule shut as on insert to pg_catalog.${relation} do nothing`).catch(() => undefined)
  await expect.poll(() => sql(waiting, [rows[0]?.pid], 'template1')).not.toEqual([])
  return reader
}

async function prepare(tenantry: Isolated, id: string, name: string, database?: string): Promise<void> {
  const client = await login(tenantry, id, database)
  await client.query(`begin; alter role current_user password 'x'`)
  await client.query(`prepare transaction '${name}'`)
  await client.end()
}

describe('a tenant that keeps everybody from its database, with a prepared transaction there', () => {
  it.each(['suspend', 'offboard', 'rotateCredentials'] as const)('does not outlive %s', async (verb) => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    await prepare(tenantry, 'evil', disposableName('x'))
    const reader = await shut(tenantry, 'evil', 'pg_class')
    await tenantry.tenants[verb]('evil')
    expect(await isDead(reader)).toBe(true)
    expect(await sql('select gid from pg_prepared_xacts')).toEqual([])
  })
})

it.each(['LATIN1', 'SQL_ASCII'])(
  'a prepared transaction is rolled back in a database with the encoding %s',
  async (encoding) => {
    const tenantry = await open()
    await tenantry.onboard('evil')
    const database = disposableName('d')
    await sql(`create database ${quote(database)} template template0 encoding '${encoding}' locale 'C'`)
    await prepare(tenantry, 'evil', 'caf\u00e9', database)
    expect(await tenantry.tenants.suspend('evil')).toMatchObject({ outcome: 'suspended' })
    expect(await sql('select transaction from pg_prepared_xacts')).toEqual([])
  },
)

it.each(['pg_locks', 'pg_stat_activity', 'pg_class'])(
  'a tenant that hinders the look at %s keeps no other from its database',
  async (relation) => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { database } = await tenantry.tenants.credentials('other')
    const [holder, dropper] = [await login(tenantry, 'evil'), await login(tenantry, 'evil')]
    const { rows } = await dropper.query<{ pid: number }>('select pg_backend_pid() as pid')
    await holder.query(`begin; alter role current_user in database ${quote(database)} set work_mem = '1MB'`)
    dropper.query(`drop database ${quote(database)}`).catch(() => undefined)
    await expect.poll(() => sql(waiting, [rows[0]?.pid])).not.toEqual([])
    await shut(tenantry, 'evil', relation, 'postgres')
    expect(await tenantry.with('other', (em) => em.count(User))).toBe(0)
    await tenantry.tenants.suspend('evil')
  },
)

it('privileges on more large objects than one transaction can change keep no role from being dropped', async () => {
  const tenantry = await open()
  for (const id of ['evil', 'other']) await tenantry.onboard(id)
  const { user } = await tenantry.tenants.credentials('other')
  const client = await login(tenantry, 'evil', 'postgres')
  await client.query('select lo_create(0) from generate_series(1, 2500)')
  await client.query(`do $$ declare it oid; begin for it in select oid from pg_largeobject_metadata loop
    execute format('grant select on large object %s to ${quote(user)}', it); end loop; end $$`)
  await tenantry.tenants.offboard('other')
  expect(await tenantry.tenants.purge('other')).toMatchObject({ outcome: 'purged' })
  expect(await sql('select 1 from pg_roles where rolname = $1', [user])).toEqual([])
  await sql('select lo_unlink(oid) from pg_largeobject_metadata')
})

it('privileges that a tenant grants as the group of all keep no role from being dropped', async ({ skip }) => {
  const [{ is } = { is: false }] = await sql<{ is: boolean }>(
    `select current_setting('server_version_num')::int < 160000 as is`,
  )
  if (!is) skip('from version 16 on, no tenant can act as the group')
  const tenantry = await open()
  for (const id of ['evil', 'other']) await tenantry.onboard(id)
  const { user } = await tenantry.tenants.credentials('other')
  const client = await login(tenantry, 'evil', 'postgres')
  await client.query(`set role ${quote(`${tenantry.installation}_app`)}; select lo_create(4711)`)
  await client.query(`grant select on large object 4711 to ${quote(user)}`)
  await tenantry.tenants.offboard('other')
  expect(await tenantry.tenants.purge('other')).toMatchObject({ outcome: 'purged' })
  expect(await sql('select 1 from pg_roles where rolname = $1', [user])).toEqual([])
})

it('a role whose privileges take too long to revoke delays no purge, and goes with the next reconcile', async () => {
  const tenantry = await open()
  for (const id of ['evil', 'other']) await tenantry.onboard(id)
  const { user } = await tenantry.tenants.credentials('other')
  const client = await login(tenantry, 'evil', 'postgres')
  await client.query(`select lo_create(4712); grant select on large object 4712 to ${quote(user)}`)
  await tenantry.tenants.offboard('other')
  // Each look at the clock is later than any limit.
  let late = Date.now()
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => (late += 60_000))
  try {
    expect(await tenantry.tenants.purge('other')).toMatchObject({ outcome: 'purged' })
  } finally {
    clock.mockRestore()
  }
  const role = () => sql('select rolcanlogin from pg_roles where rolname = $1', [user])
  expect(await role()).toEqual([{ rolcanlogin: false }])
  await tenantry.servers.reconcile()
  expect(await role()).toEqual([])
  await client.query('select lo_unlink(4712)')
})
