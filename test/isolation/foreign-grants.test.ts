import type { Client } from 'pg'
import type { TenantryEvent } from 'tenantry'
import { beforeAll, describe, expect, it } from 'vitest'
import { quote, sql, useOwnServer } from '../support/server.ts'
import { createProvisioner, type Isolated, login, openAs, rolesLike } from './support.ts'

// A tenant may grant any role privileges on its own temporary objects. On a server of its own: to revoke these, DROP OWNED can
// take minutes in which PostgreSQL can neither interrupt it nor drop a database.

useOwnServer()
let provisioner: { user: string; password: string }
beforeAll(async () => {
  provisioner = await createProvisioner()
})

const open = () => openAs(provisioner, { limits: { drainMs: 500 } })
const columns = Array.from({ length: 1600 }, (_, index) => `c${index}`)

/** Creates a table with as many columns as PostgreSQL allows. */
async function createWide(client: Client, name: string, kind = 'temporary table'): Promise<void> {
  await client.query(`create ${kind} ${name} (${columns.map((column) => `${column} int`).join(', ')})`)
}

/** Grants a role, and PUBLIC, a privilege on each column of a table. */
const grantColumns = (client: Client, table: string, user: string) =>
  client.query(`grant select (${columns.join(', ')}) on ${table} to ${quote(user)}, public`)

/** Returns a tenant's role after its tenant is purged, if it is still there, and the roles that were reported. */
async function purge(tenantry: Isolated, id: string) {
  const { user } = await tenantry.tenants.credentials(id)
  const kept: TenantryEvent[] = []
  tenantry.on((event) => event.event === 'role-kept' && kept.push(event))
  await tenantry.tenants.offboard(id)
  expect(await tenantry.tenants.purge(id)).toEqual({ outcome: 'purged' })
  return { kept, roles: await rolesLike(`^${user}$`) }
}

describe('privileges on the columns of temporary tables', () => {
  it.each([undefined, 'postgres'])('keep no tenant from being purged (in %s)', async (database) => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const { user } = await tenantry.tenants.credentials('other')
    const client = await login(tenantry, 'evil', database)
    await createWide(client, 'wide')
    await grantColumns(client, 'wide', user)
    expect(await purge(tenantry, 'other')).toEqual({ kept: [], roles: [] })
  })

  it('keep no clone from being made, and no temporary role from being dropped', async () => {
    const tenantry = await open()
    for (const id of ['evil', 'other']) await tenantry.onboard(id)
    const client = await login(tenantry, 'evil', 'postgres')
    await createWide(client, 'wide')
    const anonymise = async () => {
      const [helper] = await rolesLike(`^${tenantry.installation}_r_h_`)
      await grantColumns(client, 'wide', helper!.rolname)
    }
    expect(await tenantry.tenants.clone('other', 'copy', { anonymise })).toMatchObject({ outcome: 'cloned' })
    expect(await rolesLike(`^${tenantry.installation}_r_h_`)).toEqual([])
  })
})

it('a role with privileges that take too long to revoke is kept and reported, and delays no purge', async () => {
  const tenantry = await open()
  for (const id of ['evil', 'other']) await tenantry.onboard(id)
  const { database } = await tenantry.tenants.credentials('evil')
  const { user } = await tenantry.tenants.credentials('other')
  await sql('grant create on schema public to public', [], database)
  const client = await login(tenantry, 'evil')
  await createWide(client, 'wide', 'table')
  await grantColumns(client, 'wide', user)
  const { kept, roles } = await purge(tenantry, 'other')
  expect(kept).toMatchObject([{ role: user, error: { code: 'query-failed', hint: expect.stringContaining(database) } }])
  expect(roles).toHaveLength(1)
  await client.query('drop table wide')
  await tenantry.servers.reconcile()
  expect(await rolesLike(`^${user}$`)).toEqual([])
})
